#include "cornstarch/pipeline/store.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <stdexcept>
#include <thread>

#include "catch.h"
#include "cornstarch/nn/linear.h"

using namespace cornstarch;

namespace {

/// Three parameters of two values each; with 16 bytes a bucket each has its own.
struct Parameters {
  catalog::ParamSpec spec;
  std::vector<models::Parameter> all{3};

  Parameters() {
    for (models::Parameter& p : all) {
      p.spec = &spec;
      p.trains = true;
      p.value = at::full({2}, 1.0, at::kDouble).requires_grad_(true);
    }
  }
  std::vector<pipeline::Stored> stored(const comm::GroupPtr& group) {
    return {{&all[0], group}, {&all[1], group}, {&all[2], group}};
  }
};

double first(const at::Tensor& tensor) { return tensor[0].item<double>(); }

/// Of a parameter's first value.
double gradient(const pipeline::Store& store, const models::Parameter& parameter) {
  for (const pipeline::Segment& s : store.segments())
    if (s.parameter == &parameter && s.begin == 0) return first(s.gradient);
  throw std::logic_error("another rank's");
}

}  // namespace

TEST_CASE("gradients of several backwards add up and are summed over replicas") {
  comm::run_threads(3, {std::chrono::seconds(20)}, [](const comm::CommunicatorPtr& comm) {
    Parameters p;
    pipeline::ParameterStore store(p.stored(comm->world()), {16});
    CHECK(store.gradients().size() == 3);
    for (int step = 0; step < 2; ++step) {
      store.start_step();
      const double scale = comm->rank() + 1;
      (p.all[0].value * scale).sum().backward();
      store.last_backward();
      (p.all[0].value * scale + p.all[1].value * 10).sum().backward();
      store.finish();
      CHECK(gradient(store, p.all[0]) == 2 * (1 + 2 + 3));
      CHECK(gradient(store, p.all[1]) == 30);
      CHECK(gradient(store, p.all[2]) == 0);
    }
  });
}

TEST_CASE("a bucket leaves while backward still runs, in one order on every rank") {
  comm::run_threads(2, {std::chrono::seconds(20)}, [](const comm::CommunicatorPtr& comm) {
    Parameters p;
    pipeline::ParameterStore store(p.stored(comm->world()), {16});
    store.start_step();
    const auto before = comm->traffic().collectives;
    store.last_backward();
    // Rank 1 reaches the last parameter only; rank 0 all of them.
    if (comm->rank() == 0) {
      (p.all[0].value + p.all[1].value + p.all[2].value).sum().backward();
      CHECK(comm->traffic().collectives == before + 3);
    } else {
      p.all[2].value.sum().backward();
      CHECK(comm->traffic().collectives == before + 1);
    }
    store.finish();
    CHECK(comm->traffic().collectives == before + 3);
    CHECK(gradient(store, p.all[0]) == 1);
    CHECK(gradient(store, p.all[2]) == 2);
  });
}

TEST_CASE("a bucket over several stages leaves last, when backward is done") {
  comm::run_threads(2, {std::chrono::seconds(20)}, [](const comm::CommunicatorPtr& comm) {
    Parameters p;
    auto stored = p.stored(comm->world());
    stored[2].over_stages = true;
    pipeline::ParameterStore store(stored, {16});
    CHECK(store.segments()[0].parameter == &p.all[1]);
    CHECK(store.segments()[2].parameter == &p.all[2]);
    store.start_step();
    const auto before = comm->traffic().collectives;
    store.last_backward();
    (p.all[0].value + p.all[1].value + p.all[2].value).sum().backward();
    CHECK(comm->traffic().collectives == before + 2);
    store.finish();
    CHECK(comm->traffic().collectives == before + 3);
    CHECK(gradient(store, p.all[2]) == 2);
  });
}

TEST_CASE("small gradients share a bucket; another group starts a new one") {
  comm::run_threads(2, {std::chrono::seconds(20)}, [](const comm::CommunicatorPtr& comm) {
    Parameters p;
    auto other = comm->group({0, 1}, "other");
    pipeline::ParameterStore store(
        {{&p.all[0], other}, {&p.all[1], comm->world()}, {&p.all[2], comm->world()}}, {1 << 20});
    REQUIRE(store.gradients().size() == 2);
    CHECK(store.gradients()[0].numel() == 4);
    CHECK(store.gradients()[1].numel() == 2);
  });
}

TEST_CASE("layers see values in the store's memory, and a segment each") {
  Parameters p;
  const at::Tensor shared = p.all[1].value;
  const pipeline::ParameterStore store(p.stored(comm::alone()->world()), {1 << 20});
  REQUIRE(store.segments().size() == 3);
  const pipeline::Segment& segment = store.segments()[1];  // filled from the last one to the first
  CHECK(segment.parameter == &p.all[1]);
  CHECK(segment.begin == 0);
  CHECK(segment.counts);
  segment.value.fill_(5.0);
  CHECK(first(shared) == 5.0);
  CHECK(first(p.all[0].value) == 1.0);
}

TEST_CASE("a replica's parameters count in the norm on the first one only") {
  comm::run_threads(2, {std::chrono::seconds(20)}, [](const comm::CommunicatorPtr& comm) {
    Parameters p;
    auto stored = p.stored(comm->world());
    stored[2].counts = false;
    const pipeline::ParameterStore store(stored, {16});
    CHECK_FALSE(store.segments()[0].counts);
    CHECK(store.segments()[1].counts == (comm->rank() == 0));
  });
}

TEST_CASE("sharded: every rank updates its share of a bucket, and all have every value") {
  comm::run_threads(4, {std::chrono::seconds(20)}, [](const comm::CommunicatorPtr& comm) {
    Parameters p;
    // Six values over four ranks: shares of two, the last one empty.
    pipeline::ParameterStore store(p.stored(comm->world()), {1 << 20, true});
    const int rank = comm->rank();
    REQUIRE(store.gradients().size() == 1);
    CHECK(store.gradients()[0].numel() == 2);
    REQUIRE(store.segments().size() == (rank < 3 ? 1 : 0));
    store.start_step();
    store.last_backward();
    const double scale = rank + 1;
    (p.all[0].value * scale + p.all[1].value * 10 * scale + p.all[2].value * 100 * scale).sum().backward();
    store.finish();
    for (const pipeline::Segment& s : store.segments()) {
      CHECK(s.parameter == &p.all[static_cast<std::size_t>(2 - rank)]);
      CHECK(s.counts);
      CHECK(first(s.gradient) == 10 * std::pow(10.0, 2 - rank));
      s.value.sub_(s.gradient);
    }
    store.publish();
    store.settle();
    CHECK(first(p.all[0].value) == 1 - 10);
    CHECK(first(p.all[1].value) == 1 - 100);
    CHECK(first(p.all[2].value) == 1 - 1000);
    store.start_step(/*reached=*/false);
    for (const pipeline::Segment& s : store.segments()) CHECK(first(s.gradient) == 0);
  });
}

TEST_CASE("sharded: a share may begin within a parameter") {
  comm::run_threads(3, {std::chrono::seconds(20)}, [](const comm::CommunicatorPtr& comm) {
    catalog::ParamSpec spec;
    models::Parameter p;
    p.spec = &spec;
    p.trains = true;
    p.value = at::full({2, 2}, 1.0, at::kDouble).requires_grad_(true);
    const pipeline::ParameterStore store({{&p, comm->world()}}, {1 << 20, true});
    REQUIRE(store.segments().size() == (comm->rank() < 2 ? 1 : 0));
    if (comm->rank() < 2) {
      CHECK(store.segments()[0].begin == 2 * comm->rank());
      CHECK(store.segments()[0].value.numel() == 2);
    }
  });
}

TEST_CASE("sharded: a module's forward waits for its own published values, whoever is late") {
  comm::run_threads(2, {std::chrono::seconds(20)}, [](const comm::CommunicatorPtr& comm) {
    Parameters p;
    std::vector<pipeline::Stored> stored = p.stored(comm->world());
    for (std::size_t i = 0; i < stored.size(); ++i) {
      stored[i].module = static_cast<int>(i);
      p.all[i].value = at::full({4}, 1.0, at::kDouble).requires_grad_(true);  // half of it each rank's
    }
    pipeline::ParameterStore store(stored, {.bucket_bytes = 32, .sharded = true, .observes = true});
    for (int step = 1; step <= 3; ++step) {
      store.start_step();
      store.finish();
      for (const pipeline::Segment& s : store.segments()) s.value.fill_(step);
      // Rank 1 publishes when rank 0 already computes.
      if (comm->rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(50));
      store.publish();
      store.begin_forward();
      for (int module = 0; module < 3; ++module) {
        store.before_forward(module);
        CHECK(p.all[static_cast<std::size_t>(module)].value.eq(step).all().item<bool>());
      }
    }
  });
}

TEST_CASE("masters are the values as they were given, which are rounded beside them") {
  const bool sharded = GENERATE(false, true);
  comm::run_threads(2, {std::chrono::seconds(20)}, [&](const comm::CommunicatorPtr& comm) {
    Parameters p;
    const float given = 1.001F;  // 1 in bf16
    for (models::Parameter& parameter : p.all)
      parameter.value = at::full({2}, given, at::kFloat).requires_grad_(true);
    const pipeline::ParameterStore store(p.stored(comm->world()), {1 << 20, sharded, true});
    for (const pipeline::Segment& s : store.segments()) {
      CHECK(s.master.scalar_type() == at::kFloat);
      CHECK(s.master.eq(given).all().item<bool>());
    }
    for (const at::Tensor& gradients : store.gradients()) CHECK(gradients.eq(0).all().item<bool>());
    for (const models::Parameter& parameter : p.all) {
      CHECK(parameter.value.scalar_type() == at::kBFloat16);
      CHECK(parameter.value.eq(1).all().item<bool>());
      CHECK(parameter.value.requires_grad());
    }
  });
}

TEST_CASE("with masters, bf16 gradients add up in fp32") {
  comm::run_threads(2, {std::chrono::seconds(20)}, [](const comm::CommunicatorPtr& comm) {
    Parameters p;
    for (models::Parameter& parameter : p.all)
      parameter.value = at::full({2}, 1.0, at::kFloat).requires_grad_(true);
    pipeline::ParameterStore store(p.stored(comm->world()), {1 << 20, true, true});
    store.start_step();
    const auto backward = [&](double factor) {
      for (const models::Parameter& parameter : p.all) (parameter.value * factor).sum().backward();
    };
    backward(256);
    store.last_backward();
    backward(1);  // lost in bf16, which has eight bits
    store.finish();
    for (const pipeline::Segment& s : store.segments()) {
      CHECK(s.gradient.scalar_type() == at::kFloat);
      CHECK(s.gradient.eq(2 * 257).all().item<bool>());
      CHECK(s.value.scalar_type() == at::kBFloat16);
      CHECK(s.master.eq(1).all().item<bool>());
    }
    for (const models::Parameter& parameter : p.all) CHECK_FALSE(parameter.value.grad().defined());
  });
}

TEST_CASE(
    "with masters, gradients may be rounded on their way, after each rank has added up its own in fp32") {
  const bool sharded = GENERATE(false, true);
  const int ranks = GENERATE(1, 2);
  comm::run_threads(ranks, {std::chrono::seconds(20)}, [&](const comm::CommunicatorPtr& comm) {
    Parameters p;
    for (models::Parameter& parameter : p.all)
      parameter.value = at::full({2}, 1.0, at::kFloat).requires_grad_(true);
    pipeline::ParameterStore store(
        p.stored(comm->world()),
        {.bucket_bytes = 1 << 20, .sharded = sharded, .masters = true, .narrow_sums = true});
    for (int step = 0; step < 2; ++step) {
      store.start_step();
      for (const double factor : {256.0, 3.0}) {
        if (factor == 3) store.last_backward();
        for (const models::Parameter& parameter : p.all) (parameter.value * factor).sum().backward();
      }
      store.finish();
      for (const pipeline::Segment& s : store.segments()) {
        CHECK(s.gradient.scalar_type() == at::kFloat);
        CHECK(s.gradient.eq(ranks == 1 ? 259 : 2 * 260).all().item<bool>());  // bf16 has eight bits
      }
    }
  });
}

TEST_CASE("products add themselves to the store's gradients, the first in place of what was there") {
  const bool masters = GENERATE(false, true), zeroes = GENERATE(false, true);
  comm::run_threads(2, {std::chrono::seconds(20)}, [&](const comm::CommunicatorPtr& comm) {
    catalog::ParamSpec spec;
    models::Parameter p;
    p.spec = &spec;
    p.trains = true;
    p.value = at::full({2, 2}, 1.0, masters ? at::kBFloat16 : at::kFloat).requires_grad_(true);
    const at::Tensor x = at::full({3, 2}, 1.0, p.value.options().requires_grad(false));
    pipeline::ParameterStore store({{&p, comm->world()}}, {.masters = masters, .zeroes = zeroes});
    for (int step = 0; step < 2; ++step) {
      store.start_step();
      nn::linear(x, {p.value, {}, p.sum}).sum().backward();
      CHECK_FALSE(p.value.grad().defined());
      store.last_backward();
      nn::linear(x, {p.value, {}, p.sum}).sum().backward();
      store.finish();
      CHECK(store.segments()[0].gradient.eq(2 * 2 * 3).all().item<bool>());
      CHECK(store.segments()[0].gradient.scalar_type() == at::kFloat);
    }
    store.start_step();
    store.finish();  // nothing came
    CHECK(store.segments()[0].gradient.eq(0).all().item<bool>());
  });
}
