#include "cornstarch/pipeline/module_store.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <set>

#include "catch.h"

using namespace cornstarch;
using pipeline::ModuleStore;

namespace {

constexpr std::int64_t kElements = 1024;
constexpr std::int64_t kBytes = kElements * 8;

/// Three modules of one parameter each: y = 2 x, 3 x, 4 x; the second is frozen.
struct Model {
  catalog::ParamSpec spec;
  std::vector<models::Parameter> all{3};

  explicit Model(at::ScalarType type = at::kDouble) {
    for (std::size_t i = 0; i < 3; ++i) {
      all[i].spec = &spec;
      all[i].trains = i != 1;
      all[i].value = at::full({kElements}, 2.0 + static_cast<double>(i), type);
      all[i].value.requires_grad_(all[i].trains);
    }
  }
  std::vector<pipeline::StoredModule> modules(const comm::GroupPtr& group) {
    std::vector<pipeline::StoredModule> out;
    for (int i = 0; i < 3; ++i) out.push_back({i, {{&all[static_cast<std::size_t>(i)], group}}});
    return out;
  }

  /// As a stage does: tells the store before each module, and before its backward.
  at::Tensor forward(ModuleStore& store, at::Tensor x) {
    store.begin_forward();
    for (int i = 0; i < 3; ++i) {
      store.before_forward(i);
      x = x * all[static_cast<std::size_t>(i)].value;
      x.register_hook([&store, i](const at::TensorBase&) { store.before_backward(i); });
    }
    store.end_pass();
    return x;
  }
};

/// Bytes of all memory behind these tensors, each counted once.
std::int64_t bytes_of(const std::vector<at::Tensor>& tensors) {
  std::set<const void*> seen;
  std::int64_t bytes = 0;
  for (const at::Tensor& t : tensors)
    if (t.defined() && seen.insert(t.storage().unsafeGetStorageImpl()).second)
      bytes += static_cast<std::int64_t>(t.storage().nbytes());
  return bytes;
}

std::int64_t live_bytes(const ModuleStore& store, const Model& model) {
  std::vector<at::Tensor> tensors;
  for (const models::Parameter& p : model.all) tensors.insert(tensors.end(), {p.value, p.value.grad()});
  for (const pipeline::Segment& s : store.segments())
    tensors.insert(tensors.end(), {s.value, s.master, s.gradient});
  return bytes_of(tensors);
}

void keep(models::Parameter&, Range) {}

}  // namespace

TEST_CASE("a module's values go out before the next one's are there") {
  comm::run_threads(2, {std::chrono::seconds(20)}, [](const comm::CommunicatorPtr& comm) {
    Model model;
    std::vector<std::int64_t> whole;  // bytes of values, when each of them is filled
    const ModuleStore store(model.modules(comm->world()), {}, [&](models::Parameter& p, Range own) {
      const auto before = std::find_if(model.all.begin(), model.all.end(), [&](auto& q) { return &q == &p; });
      std::vector<at::Tensor> values;
      for (auto q = model.all.begin(); q <= before; ++q) values.push_back(q->value);
      whole.push_back(bytes_of(values));
      CHECK(own == Range{comm->rank() * kElements / 2, (comm->rank() + 1) * kElements / 2});
      p.value.narrow(0, own.begin, own.size()).fill_(10.0 * static_cast<double>(whole.size()));
    });
    CHECK(whole == std::vector<std::int64_t>{kBytes, kBytes, kBytes});
    CHECK(store.segments()[0].value.eq(10).all().item<bool>());
    CHECK(store.segments()[1].value.eq(30).all().item<bool>());
  });
}

TEST_CASE("between passes a rank holds its shares and nothing else") {
  comm::run_threads(4, {std::chrono::seconds(20)}, [](const comm::CommunicatorPtr& comm) {
    Model model;
    const std::int64_t whole = bytes_of({model.all[0].value, model.all[1].value, model.all[2].value});
    CHECK(whole == 3 * kBytes);
    ModuleStore store(model.modules(comm->world()), {}, keep);
    // Two values and two gradients in quarters; the frozen share is nobody's segment.
    CHECK(live_bytes(store, model) == 4 * kBytes / 4);
    store.start_step();
    const at::Tensor y = model.forward(store, at::full({kElements}, 1.0, at::kDouble).requires_grad_(true));
    CHECK(y.eq(24).all().item<bool>());
    CHECK(live_bytes(store, model) == 4 * kBytes / 4);
    store.begin_backward();
    y.sum().backward();
    store.end_pass();
    store.finish();
    CHECK(live_bytes(store, model) == 4 * kBytes / 4);
    REQUIRE(store.segments().size() == 2);
    CHECK(store.segments()[0].gradient.eq(4 * 12).all().item<bool>());
    CHECK(store.segments()[1].gradient.eq(4 * 6).all().item<bool>());
  });
}

TEST_CASE("a rank that has nothing to do makes the same calls, and adds nothing") {
  comm::run_threads(2, {std::chrono::seconds(20)}, [](const comm::CommunicatorPtr& comm) {
    Model model;
    ModuleStore store(model.modules(comm->world()), {}, keep);
    store.start_step();
    for (const bool busy : {comm->rank() == 0, comm->rank() == 1, true}) {
      at::Tensor y;
      if (busy) {
        y = model.forward(store, at::full({kElements}, 1.0, at::kDouble));
      } else {
        store.begin_forward();
        store.end_pass();
      }
      store.begin_backward();
      if (busy) y.sum().backward();
      store.end_pass();
    }
    store.finish();
    CHECK(store.segments()[0].gradient.eq(4 * 12).all().item<bool>());
    CHECK(comm->traffic().collectives == 3 * (3 + 3 + 2));
  });
}

TEST_CASE("updated shares are what the next forward sees") {
  comm::run_threads(2, {std::chrono::seconds(20)}, [](const comm::CommunicatorPtr& comm) {
    Model model;
    ModuleStore store(model.modules(comm->world()), {}, keep);
    for (const pipeline::Segment& s : store.segments()) s.value.fill_(10.0);
    CHECK(model.forward(store, at::full({kElements}, 1.0, at::kDouble)).eq(300).all().item<bool>());
    store.hold(1);
    CHECK(model.all[1].value.eq(3).all().item<bool>());
    store.drop(1);
    CHECK(model.all[1].value.storage().nbytes() == 0);
  });
}

TEST_CASE("modules that share a value: gathered once, both gradients added") {
  comm::run_threads(2, {std::chrono::seconds(20)}, [](const comm::CommunicatorPtr& comm) {
    Model model(at::kBFloat16);
    model.all[0].value = at::full({kElements}, 2.001F, at::kFloat).requires_grad_(true);  // 2 in bf16
    model.all[2] = model.all[0];                                                          // a tied head
    auto modules = model.modules(comm->world());
    modules[2].parameters.clear();
    modules[2].values_of = 0;
    ModuleStore store(modules, {.masters = true}, keep);
    store.start_step();
    const at::Tensor y = model.forward(store, at::full({kElements}, 1.0, at::kBFloat16));
    CHECK(y.eq(12).all().item<bool>());
    store.begin_backward();
    y.sum().backward();
    store.end_pass();
    store.finish();
    REQUIRE(store.segments().size() == 1);
    CHECK(store.segments()[0].gradient.eq(2 * (6 + 6)).all().item<bool>());
    CHECK(store.segments()[0].gradient.scalar_type() == at::kFloat);
    CHECK(store.segments()[0].master.numel() == kElements / 2);
    CHECK(store.segments()[0].master.eq(2.001F).all().item<bool>());
  });
}
