#include "cornstarch/optim/optimizer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "catch.h"
#include "cornstarch/base/result.h"

using namespace cornstarch;

namespace {

/// A segment of two values.
struct Fixture {
  catalog::ParamSpec spec;
  models::Parameter parameter;
  std::vector<pipeline::Segment> segments;

  explicit Fixture(catalog::Shape shape, const std::string& modality = "llm") {
    spec.shape = std::move(shape);
    parameter.modality = modality;
    parameter.spec = &spec;
    segments.push_back(
        {&parameter, 0, at::tensor({1.0, -2.0}, at::kDouble), {}, at::zeros({2}, at::kDouble)});
  }
  void grad(double a, double b) { segments[0].gradient.copy_(at::tensor({a, b}, at::kDouble)); }
  double value(int i) const { return segments[0].value[i].item<double>(); }
};

config::Optimizer sgd(double momentum) {
  config::Optimizer c;
  c.type = config::OptimizerType::sgd;
  c.momentum = momentum;
  return c;
}

void step(optim::Optimizer& optimizer, double lr, const std::set<std::string>& untouched = {}) {
  optimizer.step(lr, untouched, at::ones({}, at::kBool));
}

}  // namespace

TEST_CASE("SGD: momentum as PyTorch's, v = m v + g, from the first step") {
  Fixture f({2});
  optim::Optimizer optimizer(sgd(0.9), f.segments);
  f.grad(1.0, 2.0);
  step(optimizer, 0.1);
  CHECK(f.value(0) == Approx(0.9).epsilon(1e-14));
  CHECK(f.value(1) == Approx(-2.2).epsilon(1e-14));
  f.grad(1.0, 0.0);
  step(optimizer, 0.1);
  CHECK(f.value(0) == Approx(0.9 - 0.1 * 1.9).epsilon(1e-14));
  CHECK(f.value(1) == Approx(-2.2 - 0.1 * 1.8).epsilon(1e-14));
}

TEST_CASE("what cannot scale gradients on its way says so") {
  Fixture f({2});
  optim::Optimizer optimizer(sgd(0), f.segments);
  CHECK_FALSE(optimizer.scales());
  const at::Tensor one = at::ones({}, at::kDouble);
  CHECK_THROWS_AS(optimizer.step(0.1, {}, at::ones({}, at::kBool), one), Failure);
  CHECK(optim::Optimizer(sgd(0), {}).scales());
}

TEST_CASE("learning rate and weight decay are the parameter's own") {
  Fixture plain({2}), decayed({2}), fast({2}), other({2}, "vision");
  decayed.spec.weight_decay = 0.5;
  fast.spec.weight_decay = 0.5;
  fast.spec.lr_factor = 3;
  other.spec.lr_factor = 0.5;
  std::vector<pipeline::Segment> segments;
  for (Fixture* f : {&plain, &decayed, &fast, &other}) {
    f->grad(1.0, 0.0);
    segments.push_back(f->segments[0]);
  }
  optim::Optimizer optimizer(sgd(0.0), segments);
  step(optimizer, 0.1);
  CHECK(plain.value(0) == Approx(1.0 - 0.1).epsilon(1e-14));
  CHECK(plain.value(1) == -2.0);
  CHECK(decayed.value(0) == Approx(1.0 - 0.1 * (1.0 + 0.5)).epsilon(1e-14));
  CHECK(decayed.value(1) == Approx(-2.0 + 0.1 * 0.5 * 2.0).epsilon(1e-14));
  CHECK(fast.value(0) == Approx(1.0 - 0.3 * (1.0 + 0.5)).epsilon(1e-14));
  CHECK(other.value(0) == Approx(1.0 - 0.05).epsilon(1e-14));
}

TEST_CASE("AdamW against its formula over three steps") {
  Fixture f({1, 2});
  f.spec.weight_decay = 0.1;
  f.spec.lr_factor = GENERATE(1.0, 0.25);
  const double lr = 0.01 * f.spec.lr_factor;
  config::Optimizer c;
  c.betas = {0.8, 0.9};
  c.eps = 1e-3;
  optim::Optimizer optimizer(c, f.segments);
  double w = 1.0, m = 0, v = 0;
  for (int t = 1; t <= 3; ++t) {
    const double g = 0.3 * t;
    f.grad(g, 0.0);
    step(optimizer, 0.01);
    w -= lr * 0.1 * w;
    m = 0.8 * m + 0.2 * g;
    v = 0.9 * v + 0.1 * g * g;
    w -= lr * (m / (1 - std::pow(0.8, t))) / (std::sqrt(v / (1 - std::pow(0.9, t))) + 1e-3);
    CHECK(f.value(0) == Approx(w).epsilon(1e-12));
  }
}

TEST_CASE("a modality that no sample reached keeps its values and its state") {
  Fixture f({2}, "vision");
  optim::Optimizer optimizer(sgd(0.9), f.segments);
  f.grad(1.0, 1.0);
  step(optimizer, 0.1, {"vision"});
  CHECK(f.value(0) == 1.0);
  step(optimizer, 0.1);
  CHECK(f.value(0) == Approx(0.9).epsilon(1e-14));
}

TEST_CASE("where the sums are not sound, values and state stay") {
  const auto type = GENERATE(config::OptimizerType::sgd, config::OptimizerType::adamw);
  config::Optimizer c = sgd(0.9);
  c.type = type;
  Fixture f({1, 2}), twin({1, 2});
  for (Fixture* each : {&f, &twin}) each->spec.weight_decay = 0.1;
  optim::Optimizer optimizer(c, f.segments), other(c, twin.segments);
  f.grad(std::nan(""), 1.0);
  optimizer.step(0.1, {}, at::zeros({}, at::kBool));
  CHECK(f.value(0) == 1.0);
  CHECK(f.value(1) == -2.0);
  for (Fixture* each : {&f, &twin}) each->grad(0.5, 1.0);
  step(optimizer, 0.1);
  step(other, 0.1);
  CHECK(f.value(0) == twin.value(0));
  CHECK(f.value(1) == twin.value(1));
}

TEST_CASE("updates smaller than bf16 resolves add up in the master") {
  Fixture f({2});
  pipeline::Segment& segment = f.segments[0];
  segment.master = at::tensor({1.0, -2.0}, at::kFloat);
  segment.value = segment.master.to(at::kBFloat16);
  segment.gradient = at::tensor({-1.0, 0.0}, at::kFloat);
  optim::Optimizer optimizer(sgd(0.0), f.segments);
  const double tiny = std::ldexp(1.0, -10);  // next to 1, bf16 resolves 2^-7
  for (int i = 0; i < 3; ++i) step(optimizer, tiny);
  CHECK(f.value(0) == 1.0);
  for (int i = 3; i < 8; ++i) step(optimizer, tiny);
  CHECK(f.value(0) == 1.0 + std::ldexp(1.0, -7));
  CHECK(segment.master[0].item<float>() == 1.0f + 8 * static_cast<float>(tiny));
  CHECK(f.value(1) == -2.0);
}

TEST_CASE("the norm counts each parameter once over the ranks") {
  Fixture f({2});
  f.grad(3.0, 4.0);
  CHECK(optim::squared_norm(f.segments).item<double>() == 25.0);
  f.segments[0].counts = false;
  CHECK_FALSE(optim::squared_norm(f.segments).defined());
}

TEST_CASE("SGD moves every element of narrow types, too") {
  catalog::ParamSpec spec;
  spec.shape = {8, 9};
  spec.weight_decay = 0.5;
  models::Parameter parameter;
  parameter.spec = &spec;
  const std::vector<std::int64_t> size{72};
  const auto ones = [&](at::ScalarType type) { return at::ones(size, type); };
  pipeline::Segment narrow{&parameter, 0, ones(at::kBFloat16), {}, ones(at::kBFloat16)};
  pipeline::Segment wide{&parameter, 0, ones(at::kFloat), {}, ones(at::kFloat)};
  optim::Optimizer a(sgd(0.5), {narrow}), b(sgd(0.5), {wide});
  for (int i = 0; i < 3; ++i) {
    step(a, 0.125);
    step(b, 0.125);
    const double error = (narrow.value - wide.value).abs().max().item<double>();
    CHECK(error <= (i + 1) * std::ldexp(1.0, -8));
  }
  CHECK(a.moments()[0].first.min().item<double>() > 2);
  a.step(0.125, {}, at::zeros({}, at::kBool));  // not sound
  CHECK(narrow.value.equal(narrow.value[0].expand(size)));
}

TEST_CASE("an optimizer that goes on with another's moments and updates is the other") {
  Fixture whole({2, 1}), rest({2, 1});
  config::Optimizer adamw;
  optim::Optimizer a(adamw, whole.segments), b(adamw, rest.segments);
  whole.grad(0.5, -1.0);
  for (int i = 0; i < 3; ++i) step(a, 0.1);
  rest.segments[0].value.copy_(whole.segments[0].value);
  b.moments()[0].first.copy_(a.moments()[0].first);
  b.moments()[0].second.copy_(a.moments()[0].second);
  b.resume({{"llm", 3}});
  rest.grad(0.25, 3.0);
  whole.grad(0.25, 3.0);
  step(a, 0.1);
  step(b, 0.1);
  CHECK(whole.value(0) == rest.value(0));
  CHECK(whole.value(1) == rest.value(1));
}
