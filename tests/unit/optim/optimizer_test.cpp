#include "cornstarch/optim/optimizer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <cmath>

#include "catch.h"

using namespace cornstarch;

namespace {

/// A parameter of two values that trains; `dims` decides whether weight decay applies.
struct Fixture {
  catalog::ParamSpec spec;
  std::vector<models::Parameter> parameters;

  explicit Fixture(catalog::Shape shape, const std::string& modality = "llm") {
    spec.name = "w";
    spec.shape = std::move(shape);
    models::Parameter p;
    p.modality = modality;
    p.spec = &spec;
    p.value = at::tensor({1.0, -2.0}, at::kDouble).view(spec.shape).requires_grad_(true);
    p.trains = true;
    parameters.push_back(p);
  }
  std::vector<models::Parameter*> pointers() { return {&parameters[0]}; }
  void grad(double a, double b) {
    parameters[0].value.mutable_grad() = at::tensor({a, b}, at::kDouble).view(spec.shape);
  }
  double value(int i) const { return parameters[0].value.detach().flatten()[i].item<double>(); }
};

config::Optimizer sgd(double momentum, double weight_decay = 0) {
  config::Optimizer c;
  c.type = config::OptimizerType::sgd;
  c.momentum = momentum;
  c.weight_decay = weight_decay;
  return c;
}

}  // namespace

TEST_CASE("SGD: momentum as PyTorch's, v = m v + g, from the first step") {
  Fixture f({2});
  optim::Optimizer optimizer(sgd(0.9), f.pointers());
  f.grad(1.0, 2.0);
  optimizer.step(0.1);
  CHECK(f.value(0) == Approx(0.9).epsilon(1e-14));
  CHECK(f.value(1) == Approx(-2.2).epsilon(1e-14));
  f.grad(1.0, 0.0);
  optimizer.step(0.1);
  CHECK(f.value(0) == Approx(0.9 - 0.1 * 1.9).epsilon(1e-14));
  CHECK(f.value(1) == Approx(-2.2 - 0.1 * 1.8).epsilon(1e-14));
}

TEST_CASE("weight decay leaves vectors alone") {
  Fixture vector({2}), matrix({1, 2});
  for (Fixture* f : {&vector, &matrix}) {
    optim::Optimizer optimizer(sgd(0.0, 0.5), f->pointers());
    f->grad(0.0, 0.0);
    optimizer.step(0.1);
  }
  CHECK(vector.value(0) == 1.0);
  CHECK(matrix.value(0) == Approx(1.0 - 0.1 * 0.5).epsilon(1e-14));
}

TEST_CASE("AdamW against its formula over three steps") {
  Fixture f({1, 2});
  config::Optimizer c;
  c.betas = {0.8, 0.9};
  c.eps = 1e-3;
  c.weight_decay = 0.1;
  optim::Optimizer optimizer(c, f.pointers());
  double w = 1.0, m = 0, v = 0;
  for (int t = 1; t <= 3; ++t) {
    const double g = 0.3 * t;
    f.grad(g, 0.0);
    optimizer.step(0.01);
    w -= 0.01 * 0.1 * w;
    m = 0.8 * m + 0.2 * g;
    v = 0.9 * v + 0.1 * g * g;
    w -= 0.01 * (m / (1 - std::pow(0.8, t))) / (std::sqrt(v / (1 - std::pow(0.9, t))) + 1e-3);
    CHECK(f.value(0) == Approx(w).epsilon(1e-12));
  }
}

TEST_CASE("a modality that no sample reached keeps its values and its state") {
  Fixture f({2}, "vision");
  optim::Optimizer optimizer(sgd(0.9), f.pointers());
  f.grad(1.0, 1.0);
  optimizer.step(0.1, {"vision"});
  CHECK(f.value(0) == 1.0);
  optimizer.step(0.1);
  CHECK(f.value(0) == Approx(0.9).epsilon(1e-14));
}

TEST_CASE("the norm counts each parameter once over the ranks") {
  Fixture f({2});
  f.grad(3.0, 4.0);
  CHECK(optim::squared_norm(f.pointers()) == 25.0);
  f.parameters[0].counts = false;
  CHECK(optim::squared_norm(f.pointers()) == 0.0);
}
