#include "cornstarch/nn/recompute.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/silu.h>

#include "catch.h"
#include "cornstarch/nn/layers.h"
#include "expect_close.h"
#include "memory_meter.h"

using namespace cornstarch;
using nn::Linear;

namespace {

constexpr std::int64_t kRows = 50, kIn = 8, kOut = 6;
constexpr std::int64_t kValue = 8;  // bytes

struct Weights {
  at::Tensor norm = leaf(noise({kIn}, 2)), first = leaf(noise({kOut, kIn}, 3)), bias = leaf(noise({kOut}, 4)),
             second = leaf(noise({kIn, kIn}, 5));

  std::vector<at::Tensor> all() const { return {norm, first, bias, second}; }
  void freeze() const {
    for (const at::Tensor& w : all()) w.set_requires_grad(false);
  }
};

at::Tensor weighted_sum(const std::vector<at::Tensor>& outputs) {
  at::Tensor sum;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const at::Tensor term = (outputs[i] * noise(outputs[i].sizes().vec(), 90 + i)).sum();
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

using Model = std::function<std::vector<at::Tensor>(const at::Tensor&, const Weights&)>;

struct Outcome {
  std::vector<at::Tensor> outputs, grads;
};

Outcome run(const Model& model, bool x_learns, bool weights_learn) {
  at::Tensor x = noise({2, kRows / 2, kIn}, 1).set_requires_grad(x_learns);
  const Weights weights;
  if (!weights_learn) weights.freeze();
  const std::vector<at::Tensor> outputs = model(x, weights);
  Outcome out;
  for (const at::Tensor& y : outputs) out.outputs.push_back(y.detach());
  REQUIRE(outputs[0].requires_grad() == (x_learns || weights_learn));
  if (outputs[0].requires_grad()) weighted_sum(outputs).backward();
  out.grads.push_back(x.grad());
  for (const at::Tensor& w : weights.all()) out.grads.push_back(w.grad());
  return out;
}

void expect_same(const Model& got, const Model& expected) {
  for (const bool x_learns : {true, false}) {
    for (const bool weights_learn : {true, false}) {
      CAPTURE(x_learns, weights_learn);
      const Outcome a = run(got, x_learns, weights_learn), b = run(expected, x_learns, weights_learn);
      for (std::size_t i = 0; i < b.outputs.size(); ++i) CHECK(a.outputs[i].equal(b.outputs[i]));
      for (std::size_t i = 0; i < b.grads.size(); ++i) {
        CAPTURE(i);
        REQUIRE(a.grads[i].defined() == b.grads[i].defined());
        if (b.grads[i].defined()) expect_close(a.grads[i], b.grads[i], 1e-12);
      }
    }
  }
}

std::vector<at::Tensor> plain(const at::Tensor& x, const Weights& w) {
  const at::Tensor h = nn::rms_norm(x, w.norm, 1e-5);
  return {at::linear(h, w.first, w.bias), at::linear(h, w.second)};
}

std::vector<at::Tensor> recomputed(const at::Tensor& x, const Weights& w) {
  const auto norm = [w](at::TensorList in) { return nn::rms_norm(in[0], w.norm, 1e-5); };
  return nn::recomputed_linear(norm, x, {Linear{w.first, w.bias}, Linear{w.second, {}}});
}

at::Tensor residual(const at::Tensor& x, const Weights& w) { return at::silu(plain(x, w)[1]).add_(x); }

/// What two residual layers leave behind for backward.
template <typename Layer>
std::int64_t kept_bytes(const Layer& layer) {
  const at::Tensor x = leaf(noise({kRows, kIn}, 1));
  const Weights w;
  const test::MemoryMeter meter;
  const at::Tensor y = layer(layer(x, w), w);
  const std::int64_t kept = meter.now();
  y.sum().backward();
  return kept;
}

}  // namespace

TEST_CASE("linear layers of a recomputed input equal plain ones, whatever learns", "[nn]") {
  expect_same(recomputed, plain);
}

TEST_CASE("a linear layer of two recomputed inputs equals the plain one", "[nn]") {
  const auto gate = [](at::TensorList in) { return nn::gated(catalog::Activation::silu, in[0], in[1]); };
  expect_same(
      [&](const at::Tensor& x, const Weights& w) {
        const at::Tensor a = at::linear(x, w.second), b = x * w.norm;
        return nn::recomputed_linear(gate, {a, b}, {Linear{w.first, w.bias}});
      },
      [&](const at::Tensor& x, const Weights& w) {
        return std::vector<at::Tensor>{
            at::linear(gate({at::linear(x, w.second), x * w.norm}), w.first, w.bias)};
      });
}

TEST_CASE("an output that nothing came of is left out of backward", "[nn]") {
  const auto first_of = [](const Model& model) {
    return [model](const at::Tensor& x, const Weights& w) { return std::vector<at::Tensor>{model(x, w)[0]}; };
  };
  expect_same(first_of(recomputed), first_of(plain));
}

TEST_CASE("a checkpoint equals what it runs, whatever learns, checkpoints within it too", "[nn]") {
  const auto twice = [](const at::Tensor& x, const Weights& w) { return residual(residual(x, w), w); };
  const auto nested = [&](const at::Tensor& x, const Weights& w) {
    const auto inner = [w](at::TensorList in) { return residual(in[0], w); };
    const auto outer = [=](at::TensorList in) { return nn::checkpoint(inner, nn::checkpoint(inner, in[0])); };
    return std::vector<at::Tensor>{nn::checkpoint(outer, x)};
  };
  expect_same(nested,
              [&](const at::Tensor& x, const Weights& w) { return std::vector<at::Tensor>{twice(x, w)}; });
}

TEST_CASE("a function runs again once, with a graph, and only if something learns", "[nn]") {
  int runs = 0;
  const Weights w;
  const auto f = [&](at::TensorList in) {
    ++runs;
    return residual(in[0], w);
  };
  const at::Tensor x = noise({kRows, kIn}, 1);
  const at::Tensor y = nn::checkpoint(f, x);
  CHECK(runs == 1);
  y.sum().backward();
  CHECK(runs == 2);
  CHECK_THROWS_WITH(y.sum().backward(), "Checkpoint: backward ran a second time");
  {
    const at::NoGradGuard no_grad;
    CHECK_FALSE(nn::checkpoint(f, x).requires_grad());
  }
  w.freeze();
  CHECK_FALSE(nn::checkpoint(f, x).requires_grad());
}

TEST_CASE("a checkpoint keeps its input, a recomputed layer the input of what is computed again", "[nn]") {
  const auto checkpointed = [](const at::Tensor& x, const Weights& w) {
    return nn::checkpoint([w](at::TensorList in) { return residual(in[0], w); }, x);
  };
  const auto selective = [](const at::Tensor& x, const Weights& w) {
    return at::silu(recomputed(x, w)[1]).add_(x);
  };
  constexpr std::int64_t state = kRows * kIn * kValue;
  CHECK(kept_bytes(checkpointed) == 2 * state);  // the outputs, of which the first is an input
  // silu keeps its input beside that. Without recomputation: the normed rows and a value per row, too.
  CHECK(kept_bytes(selective) == 2 * 2 * state);
  CHECK(kept_bytes(residual) == 2 * (3 * state + kRows * kValue));
}
