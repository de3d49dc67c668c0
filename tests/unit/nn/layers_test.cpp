#include "cornstarch/nn/layers.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <functional>
#include <numbers>

#include "catch.h"
#include "expect_close.h"

using namespace cornstarch;
using namespace cornstarch::nn;
using catalog::Activation;

namespace {

using Function = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

// Compares values and all gradients of two functions of the same inputs, under an uneven weighting of the
// output.
void expect_same(const Function& got, const Function& expected, const std::vector<at::Tensor>& inputs,
                 double tolerance = 1e-12) {
  std::vector<at::Tensor> a, b;
  for (const at::Tensor& input : inputs) {
    a.push_back(leaf(input));
    b.push_back(leaf(input));
  }
  const at::Tensor ya = got(a), yb = expected(b);
  expect_close(ya.detach(), yb.detach(), tolerance);
  const at::Tensor weight = noise(ya.sizes().vec(), 99);
  (ya * weight).sum().backward();
  (yb * weight).sum().backward();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    CAPTURE(i);
    expect_close(a[i].grad(), b[i].grad(), tolerance);
  }
}

at::Tensor plain_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return weight * (x * (x.pow(2).mean(-1, true) + eps).rsqrt());
}

// As transformers writes it: x cos + rotate_half(x) sin, heads in dimension 2.
at::Tensor plain_rotate(const at::Tensor& x, const RopeTable& table) {
  const std::int64_t half = table.cos.size(1);
  const at::Tensor heads = x.view({x.size(0), x.size(1), -1, 2 * half});
  const at::Tensor cos = at::cat({table.cos, table.cos}, 1).unsqueeze(1),
                   sin = at::cat({table.sin, table.sin}, 1).unsqueeze(1);
  const at::Tensor turned = at::cat({-heads.narrow(3, half, half), heads.narrow(3, 0, half)}, 3);
  return (heads * cos + turned * sin).reshape(x.sizes());
}

at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t d,
                           bool causal, double softcap) {
  const auto heads = [&](const at::Tensor& x) {
    return x.view({x.size(0), x.size(1), -1, d}).transpose(1, 2);
  };
  const std::int64_t groups = q.size(2) / k.size(2), t = q.size(1);
  at::Tensor scores =
      at::matmul(heads(q), heads(k).repeat_interleave(groups, 1).transpose(2, 3)) / std::sqrt(double(d));
  if (softcap > 0) scores = softcap * (scores / softcap).tanh();
  if (causal) scores = scores + at::full({t, t}, -1e300, at::kDouble).triu(1);
  return at::matmul(scores.softmax(-1), heads(v).repeat_interleave(groups, 1))
      .transpose(1, 2)
      .reshape(q.sizes());
}

}  // namespace

TEST_CASE("rms_norm equals its definition", "[nn]") {
  const int threads = GENERATE(1, 2);
  const auto [rows, size] = GENERATE(table<int, int>({{3, 5}, {700, 67}}));
  CAPTURE(threads, rows, size);
  at::set_num_threads(threads);
  expect_same([](const auto& in) { return rms_norm(in[0], in[1], 1e-3); },
              [](const auto& in) { return plain_rms_norm(in[0], in[1], 1e-3); },
              {noise({2, rows, size}, 1), noise({size}, 2)});
  at::set_num_threads(1);
}

TEST_CASE("in bf16, what is rounded is the result", "[nn]") {
  // Half a unit of bf16 is 2^-9; outputs and gradients of a few roundings stay within four of them.
  constexpr double tolerance = 4.0 / 512;
  const auto check = [&](const Function& function, const std::vector<at::Tensor>& inputs) {
    std::vector<at::Tensor> narrow, wide;
    for (const at::Tensor& input : inputs) {
      narrow.push_back(leaf(input.to(at::kBFloat16)));
      wide.push_back(leaf(narrow.back().detach().to(at::kDouble)));
    }
    const at::Tensor y = function(narrow), expected = function(wide);
    CHECK(y.scalar_type() == at::kBFloat16);
    expect_close(y.detach(), expected.detach(), tolerance);
    const at::Tensor grad = noise(y.sizes().vec(), 99).to(at::kBFloat16);
    y.backward(grad);
    expected.backward(grad.to(at::kDouble));
    for (std::size_t i = 0; i < inputs.size(); ++i) expect_close(narrow[i].grad(), wide[i].grad(), tolerance);
  };
  const at::Tensor x = noise({2, 5, 24}, 1);
  check([](const auto& in) { return rms_norm(in[0], in[1], 1e-3); }, {x, noise({24}, 2)});
  check([](const auto& in) { return gated(Activation::silu, in[0], in[1]); }, {x, noise({2, 5, 24}, 2)});
  check(
      [](const auto& in) {
        const RopeTable table = Rope({.theta = 10000}, 8).table(5, in[0].scalar_type());
        const auto [q, k] = rotate(in[0] * 1.0, in[1] * 1.0, table);
        return at::cat({q, k}, 2);
      },
      {x, noise({2, 5, 8}, 2)});
  check([](const auto& in) { return add_rms_norm(in[0] * 1.0, in[1], in[2], 1e-3).normed; },
        {x, noise({2, 5, 24}, 2), noise({24}, 3)});
  CHECK(Rope({.theta = 10000}, 8).table(5, at::kBFloat16).cos.scalar_type() == at::kFloat);
}

TEST_CASE("rms_norm computes no gradient that nobody needs", "[nn]") {
  at::Tensor x = noise({2, 3, 4}, 1), weight = noise({4}, 2);
  CHECK_FALSE(rms_norm(x, weight, 1e-5).requires_grad());
  x.set_requires_grad(true);
  rms_norm(x, weight, 1e-5).sum().backward();
  CHECK(x.grad().defined());
  CHECK_FALSE(weight.grad().defined());
  const at::NoGradGuard no_grad;
  CHECK_FALSE(rms_norm(x, weight, 1e-5).requires_grad());
}

TEST_CASE("rms_norm takes inputs that are not contiguous", "[nn]") {
  expect_same([](const auto& in) { return rms_norm(in[0].transpose(0, 1), in[1], 1e-5); },
              [](const auto& in) { return plain_rms_norm(in[0].transpose(0, 1), in[1], 1e-5); },
              {noise({3, 2, 4}, 1), noise({4}, 2)});
}

TEST_CASE("layer_norm equals its definition", "[nn]") {
  expect_same([](const auto& in) { return layer_norm(in[0], in[1], in[2], 1e-5); },
              [](const auto& in) {
                const at::Tensor centered = in[0] - in[0].mean(-1, true);
                return centered * (centered.pow(2).mean(-1, true) + 1e-5).rsqrt() * in[1] + in[2];
              },
              {noise({2, 3, 8}, 1), noise({8}, 2), noise({8}, 3)});
}

TEST_CASE("a residual is added and the sum normed, as the two steps do", "[nn]") {
  // What is fused comes from an operation of its own, since its memory is taken for the sum. Both outputs
  // have readers, or only one of them.
  const bool rms = GENERATE(true, false);
  const auto [use_sum, use_normed] = GENERATE(table<double, double>({{1, 1}, {1, 0}, {0, 1}}));
  CAPTURE(rms, use_sum, use_normed);
  const auto combine = [a = use_sum, b = use_normed](const at::Tensor& sum, const at::Tensor& normed) {
    if (a == 0) return normed.clone();
    return b == 0 ? sum * 2 : sum * 2 + normed;
  };
  const auto norm = [rms](const at::Tensor& x, const std::vector<at::Tensor>& in) {
    return rms ? rms_norm(x, in[2], 1e-3) : layer_norm(x, in[2], in[3], 1e-3);
  };
  std::vector<at::Tensor> inputs{noise({2, 30, 67}, 1), noise({2, 30, 67}, 2), noise({67}, 3),
                                 noise({67}, 4)};
  const auto fused = [&](const auto& in) {
    const at::Tensor branch = in[0] * 1.5;
    const NormedSum got =
        rms ? add_rms_norm(branch, in[1], in[2], 1e-3) : add_layer_norm(branch, in[1], in[2], in[3], 1e-3);
    CHECK(got.sum.const_data_ptr() == branch.const_data_ptr());
    return combine(got.sum, got.normed) + 0 * in[2] + 0 * in[3];  // every input has a gradient
  };
  const auto plain = [&](const auto& in) {
    const at::Tensor sum = in[0] * 1.5 + in[1];
    return combine(sum, norm(sum, in)) + 0 * in[2] + 0 * in[3];
  };
  expect_same(fused, plain, inputs);
}

TEST_CASE("an added residual is normed where autograd records nothing", "[nn]") {
  const at::Tensor x = noise({3, 8}, 1), residual = noise({3, 8}, 2), weight = noise({8}, 3);
  const NormedSum got = add_rms_norm(x.clone(), residual, weight, 1e-5);
  expect_close(got.sum, x + residual, 0);
  expect_close(got.normed, plain_rms_norm(x + residual, weight, 1e-5), 1e-14);
  CHECK_FALSE(got.sum.requires_grad());
  CHECK_FALSE(got.normed.requires_grad());
}

TEST_CASE("activations equal their definitions", "[nn]") {
  const at::Tensor x = noise({50}, 1) * 3;
  const auto check = [&](Activation kind, const std::function<at::Tensor(const at::Tensor&)>& definition) {
    expect_same([&](const auto& in) { return activation(kind, in[0]); },
                [&](const auto& in) { return definition(in[0]); }, {x});
    expect_same([&](const auto& in) { return gated(kind, in[0], in[1]); },
                [&](const auto& in) { return definition(in[0]) * in[1]; }, {x, noise({50}, 2)});
  };
  check(Activation::gelu,
        [](const at::Tensor& v) { return 0.5 * v * (1 + at::erf(v / std::numbers::sqrt2)); });
  check(Activation::gelu_tanh, [](const at::Tensor& v) {
    return 0.5 * v * (1 + (std::sqrt(2 / std::numbers::pi) * (v + 0.044715 * v.pow(3))).tanh());
  });
  check(Activation::quick_gelu, [](const at::Tensor& v) { return v * (1.702 * v).sigmoid(); });
  check(Activation::silu, [](const at::Tensor& v) { return v / (1 + (-v).exp()); });
  check(Activation::relu, [](const at::Tensor& v) { return v.clamp_min(0); });
}

TEST_CASE("rotary tables follow transformers", "[nn]") {
  SECTION("default") {
    const RopeTable table = Rope({.theta = 10000}, 8).table(100, at::kFloat);
    REQUIRE(table.cos.sizes() == at::IntArrayRef({100, 4}));
    CHECK(table.cos[99][0].item<float>() == Approx(std::cos(99.0)).margin(1e-5));
    CHECK(table.sin[99][1].item<float>() == Approx(std::sin(99.0 / 10)).margin(1e-5));
    CHECK(table.sin[7][3].item<float>() == Approx(std::sin(7.0 / 1000)).margin(1e-7));
  }
  SECTION("llama3: high frequencies stay, low ones are divided, the rest is interpolated") {
    const catalog::RopeSpec spec{catalog::RopeSpec::Type::llama3, 10000, 8, 1, 4, 1024};
    const RopeTable table = Rope(spec, 8).table(2, at::kDouble);
    const auto frequency = [&](int i) { return std::asin(table.sin[1][i].item<double>()); };
    const double smooth = (1024 / (2 * std::numbers::pi * 100) - 1) / 3;
    CHECK(table.cos[1][0].item<double>() == Approx(std::cos(1.0)));
    CHECK(frequency(1) == Approx(0.1));
    CHECK(frequency(2) == Approx((1 - smooth) * 0.01 / 8 + smooth * 0.01));
    CHECK(frequency(3) == Approx(0.001 / 8));
  }
  using Type = catalog::RopeSpec::Type;
  // Frequencies of samples that are 4, 8 and 16 tokens long, of which the original length is 8.
  const auto expect = [](const catalog::RopeSpec& spec, int i, const std::vector<double>& frequencies) {
    const at::Tensor ones = at::ones({3}, at::kLong), rows = at::arange(3, at::kLong);
    const RopeTable table = Rope(spec, 4).table_at(ones, 16, {rows, {4, 8, 16}}, at::kDouble);
    for (std::size_t row = 0; row < 3; ++row) {
      const auto at = [&](const at::Tensor& x) {
        return x[static_cast<std::int64_t>(row)][i].item<double>();
      };
      CHECK(std::hypot(at(table.sin), at(table.cos)) == Approx(spec.attention_factor));
      CHECK(std::atan2(at(table.sin), at(table.cos)) == Approx(frequencies[row]));
    }
  };
  SECTION("dynamic: beyond the original length the base grows, sample by sample") {
    const catalog::RopeSpec spec{
        .type = Type::dynamic, .theta = 100, .factor = 3, .original_max_positions = 8};
    expect(spec, 0, {1, 1, 1});
    expect(spec, 1, {0.1, 0.1, 1 / std::sqrt(100.0 * 16)});  // 16 = (3 x 16 / 8 - 2) ^ (4 / 2)
  }
  SECTION("longrope: factors of short samples and of long ones") {
    const catalog::RopeSpec spec{.type = Type::longrope,
                                 .theta = 100,
                                 .original_max_positions = 8,
                                 .attention_factor = 1.25,
                                 .short_factors = {1, 2},
                                 .long_factors = {4, 5}};
    expect(spec, 0, {1, 1, 0.25});
    expect(spec, 1, {0.05, 0.05, 0.02});
    CHECK(Rope(spec, 4).table(8, at::kDouble).sin[1][1].item<double>() == Approx(1.25 * std::sin(0.05)));
    CHECK_THROWS_WITH(Rope(spec, 4).table(9, at::kDouble),
                      "rotary embedding by samples' lengths over whole rows of 9");
  }
  SECTION("frequencies turn by the parts of a position, in sections") {
    const at::Tensor parts = at::tensor({2, 5, 8, 3, 6, 9, 4, 7, 10}, at::kLong).view({3, 3});
    const auto turned = [&](catalog::RopeSpec spec, std::int64_t token, std::int64_t i) {
      spec.theta = 16;
      spec.sections = {1, 2, 0, 1};
      const RopeTable table = Rope(spec, 8).table_at(parts, 11, {}, at::kDouble);
      CHECK(table.cos.sizes() == at::IntArrayRef({3, 4}));
      return std::atan2(table.sin[token][i].item<double>(), table.cos[token][i].item<double>());
    };
    CHECK(turned({}, 0, 0) == Approx(2.0));
    CHECK(turned({}, 1, 1) == Approx(6 / 2.0));
    CHECK(turned({}, 2, 2) == Approx(9 / 4.0));
    CHECK(turned({}, 2, 3) == Approx(8 / 8.0));
    CHECK(turned({.type = Type::linear, .factor = 4}, 1, 1) == Approx(6 / 8.0));
    const at::Tensor same = at::arange(3, at::kLong).expand({3, 3});
    Rope three({.sections = {1, 1}}, 4), plain({}, 4);
    CHECK(three.table_at(same, 3, {}, at::kDouble).sin.equal(plain.table(3, at::kDouble).sin));
  }
  SECTION("a longer request grows the table, a shorter one takes a part of it") {
    Rope rope({}, 4);
    const RopeTable ten = rope.table(10, at::kDouble);
    const RopeTable twenty = rope.table(20, at::kDouble);
    CHECK(twenty.cos.narrow(0, 0, 10).equal(ten.cos));
    CHECK(rope.table(5, at::kDouble).sin.const_data_ptr() == twenty.sin.const_data_ptr());
    CHECK(rope.table(5, at::kFloat).sin.scalar_type() == at::kFloat);
  }
}

TEST_CASE("rotate equals the rotate_half formula, back and forth", "[nn]") {
  const RopeTable angles = Rope({}, 6).table(5, at::kDouble);
  expect_same([&](const auto& in) { return rotate(in[0] * 1.0, in[1] * 1.0, angles).first; },
              [&](const auto& in) { return plain_rotate(in[0], angles) + 0 * in[1].sum(); },
              {noise({2, 5, 18}, 1), noise({2, 5, 6}, 2)});
  expect_same(
      [&](const auto& in) {
        const auto [q, k] = rotate(in[0] * 1.0, in[1] * 1.0, angles);
        return at::cat({q, k}, 2);
      },
      [&](const auto& in) { return at::cat({plain_rotate(in[0], angles), plain_rotate(in[1], angles)}, 2); },
      {noise({2, 5, 18}, 1), noise({2, 5, 6}, 2)});
}

TEST_CASE("attention equals softmax(q k^T) v, with grouped heads, causal or not, for any head size", "[nn]") {
  const bool causal = GENERATE(true, false);
  const int kv_heads = GENERATE(1, 2, 4);
  const int d = GENERATE(3, 16, 80);
  const int t = GENERATE(1, 7, 130);
  const double softcap = GENERATE(0.0, 0.8);
  CAPTURE(causal, kv_heads, d, t, softcap);
  expect_same([&](const auto& in) { return attention(in[0], in[1], in[2], d, causal, softcap); },
              [&](const auto& in) { return plain_attention(in[0], in[1], in[2], d, causal, softcap); },
              {noise({2, t, 4 * d}, 1), noise({2, t, kv_heads * d}, 2), noise({2, t, kv_heads * d}, 3)});
}
