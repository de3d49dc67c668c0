#include "cornstarch/nn/fp8.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <limits>

#include "catch.h"
#include "cornstarch/base/text.h"
#include "cornstarch/nn/linear.h"
#include "cornstarch/nn/recompute.h"
#include "expect_close.h"
#include "on_ranks.h"

using namespace cornstarch;
using Role = nn::Fp8Scales::Role;

namespace {

const at::Tensor kSound = at::full({}, true, at::kBool);

at::Tensor row(const std::vector<double>& values) { return at::tensor(values, at::kDouble).unsqueeze(0); }

std::shared_ptr<nn::Fp8Scales> scales_of(int layers) {
  auto out = std::make_shared<nn::Fp8Scales>();
  for (int i = 0; i < layers; ++i) CHECK(out->add(cat("layer", i)) == i);
  out->place(at::kCPU, true);
  return out;
}

double scale(const nn::Fp8Scales& scales, int layer, Role role) {
  return scales.site(layer, role).scale.item<double>();
}

/// The scale that a tensor gets whose largest magnitude was that.
double scale_for(double largest) {
  auto scales = scales_of(1);
  nn::linear(row({largest, -largest / 2}), {at::zeros({1, 2}, at::kDouble), {}, nullptr, {scales, 0}});
  scales->agree({}, kSound);
  return scale(*scales, 0, Role::input);
}

/// To e4m3, by arithmetic.
double rounded(double x, double scale) {
  const double scaled = std::min(std::abs(x) * scale, 448.0);
  if (scaled == 0) return 0;
  const int exponent = std::max(std::ilogb(scaled), -6);
  const double unit = std::ldexp(1, exponent - 3);
  return std::copysign(std::nearbyint(scaled / unit) * unit / scale, x);
}

at::Tensor rounded(const at::Tensor& x, double scale) {
  at::Tensor out = x.detach().clone();
  double* value = out.mutable_data_ptr<double>();
  for (std::int64_t i = 0; i < out.numel(); ++i) value[i] = rounded(value[i], scale);
  return out;
}

}  // namespace

TEST_CASE("a scale is the largest power of two that leaves room for values twice as large") {
  CHECK(scale_for(224) == 1);
  CHECK(scale_for(224.001) == 0.5);
  CHECK(scale_for(112) == 2);
  CHECK(scale_for(1) == 128);
  CHECK(scale_for(1.75) == 128);
  CHECK(scale_for(1.7500001) == 64);
  CHECK(scale_for(std::ldexp(1, -130)) == std::ldexp(1, 126));
  CHECK(scale_for(std::ldexp(1, 126)) == std::ldexp(1, -119));
}

TEST_CASE("products of the first step round nothing, those after it their operands") {
  auto scales = scales_of(1);
  const at::Tensor x = leaf(noise({3, 4, 8}, 1)), weight = leaf(noise({6, 8}, 2) / 20),
                   bias = leaf(noise({6}, 3));
  const nn::Linear layer{weight, bias, nullptr, {scales, 0}};
  const at::Tensor grad = noise({3, 4, 6}, 4) / 1000;
  const at::Tensor plain = nn::linear(x, {weight, bias});
  const at::Tensor first = nn::linear(x, layer);
  CHECK(first.equal(plain));
  (first * grad).sum().backward();
  expect_close(x.grad(), at::matmul(grad, weight.detach()), 1e-14);
  CHECK_FALSE(scales->known(0, Role::weight));
  scales->agree({}, kSound);
  std::vector<double> factors;
  const std::vector<std::pair<Role, at::Tensor>> operands{
      {Role::input, x}, {Role::weight, weight}, {Role::gradient, grad}};
  for (const auto& [role, tensor] : operands) {
    const double largest = tensor.detach().abs().max().item<double>();
    factors.push_back(scale(*scales, 0, role));
    CHECK(factors.back() * largest <= 224);
    CHECK(factors.back() * largest > 112);
    CHECK(scales->known(0, role));
  }
  for (const at::Tensor& each : {x, weight, bias}) each.mutable_grad().reset();
  scales->begin_step();
  const at::Tensor second = nn::linear(x, layer);
  const at::Tensor x8 = rounded(x, factors[0]), w8 = rounded(weight, factors[1]),
                   g8 = rounded(grad, factors[2]);
  CHECK_FALSE(x8.equal(x));
  expect_close(second, at::matmul(x8, w8.t()) + bias, 1e-14);
  (second * grad).sum().backward();
  expect_close(x.grad(), at::matmul(g8, w8), 1e-14);
  expect_close(weight.grad() * 1e3, at::matmul(g8.flatten(0, 1).t(), x8.flatten(0, 1)) * 1e3, 1e-13);
  expect_close(bias.grad(), grad.flatten(0, 1).sum(0), 1e-14);
}

TEST_CASE("values beyond a scale's room are cut, and the next scale has room for them") {
  auto scales = scales_of(1);
  const at::Tensor one = at::full({1, 1}, 1.0, at::kDouble);
  const nn::Linear layer{one, {}, nullptr, {scales, 0}};
  nn::linear(one, layer);
  scales->agree({}, kSound);
  CHECK(scale(*scales, 0, Role::input) == 128);
  scales->begin_step();
  CHECK(nn::linear(at::full({1, 1}, -100.0, at::kDouble), layer).item<double>() == -3.5);
  scales->agree({}, kSound);
  CHECK(scale(*scales, 0, Role::input) == 2);
  CHECK(nn::linear(at::full({1, 1}, -100.0, at::kDouble), layer).item<double>() == -96);
}

TEST_CASE(
    "layers of one input round it once, by the first one's scale; rows that do not count are not looked at") {
  auto scales = scales_of(2);
  const at::Tensor weight = at::full({1, 2}, 1.0, at::kDouble);
  const std::vector<nn::Linear> layers{{weight, {}, nullptr, {scales, 0}},
                                       {weight, {}, nullptr, {scales, 1}}};
  const at::Tensor x = at::tensor({1.0, -2.0, 300.0, 0.0}, at::kDouble).view({1, 2, 2});
  const at::Tensor counted = at::tensor({1, 0}, at::kInt).to(at::kBool);
  const bool again = GENERATE(false, true);
  const auto through = [&] {
    return again ? nn::recomputed_linear([](at::TensorList in) { return in[0]; }, {x}, layers, {counted})
                 : nn::linears(x, layers, {counted});
  };
  through();
  scales->agree({}, kSound);
  CHECK(scale(*scales, 0, Role::input) == 64);
  CHECK(scale(*scales, 1, Role::input) == 0);
  CHECK(scale(*scales, 1, Role::weight) == 128);
  for (const at::Tensor& y : through()) CHECK(y.equal(at::tensor({-1.0, 7.0}, at::kDouble).view({1, 2, 1})));
}

TEST_CASE("what is computed again in backward rounds as it did, and its weights learn from what is rounded") {
  auto scales = scales_of(1);
  const at::Tensor x = leaf(noise({5, 8}, 1)), weight = leaf(noise({6, 8}, 2));
  const nn::Linear layer{weight, {}, nullptr, {scales, 0}};
  const at::Tensor grad = noise({5, 6}, 3);
  const auto twice = [](at::TensorList in) { return in[0] * 2; };
  const auto gradients = [&](const at::Tensor& y) {
    x.mutable_grad().reset();
    weight.mutable_grad().reset();
    (y * grad).sum().backward();
    return std::pair(x.grad(), weight.grad());
  };
  gradients(nn::linear(twice({x}), layer));
  scales->agree({}, kSound);
  const auto want = gradients(nn::linear(twice({x}), layer));
  const auto got = gradients(nn::recomputed_linear(twice, {x}, {layer})[0]);
  CHECK(got.first.equal(want.first));
  CHECK(got.second.equal(want.second));
  const double factor = scale(*scales, 0, Role::input);
  expect_close(got.second,
               at::matmul(rounded(grad, scale(*scales, 0, Role::gradient)).t(), rounded(2 * x, factor)),
               1e-13);
}

TEST_CASE("scales stay where a step did not count, saw nothing, or saw what is no number") {
  auto scales = scales_of(1);
  const nn::Linear layer{at::full({1, 1}, 1.0, at::kDouble), {}, nullptr, {scales, 0}};
  const auto step = [&](double x, bool sound) {
    scales->begin_step();
    nn::linear(at::full({1, 1}, x, at::kDouble), layer);
    scales->agree({}, at::full({}, sound, at::kBool));
    return scale(*scales, 0, Role::input);
  };
  CHECK(step(1, false) == 0);
  CHECK_FALSE(scales->known(0, Role::input));
  CHECK(step(1, true) == 128);
  CHECK(step(100, false) == 128);
  CHECK(step(std::numeric_limits<double>::infinity(), true) == 128);
  CHECK(step(std::nan(""), true) == 128);
  CHECK(step(0, true) == 128);
  nn::linear(at::full({1, 1}, 100.0, at::kDouble), layer);  // as evaluation does
  CHECK(step(2, true) == 64);
}

TEST_CASE("all ranks of the groups take the scale of the largest value that any of them saw") {
  std::vector<double> found(3);
  on_ranks(3, [&](const comm::GroupPtr& group) {
    auto scales = std::make_shared<nn::Fp8Scales>();
    scales->add("layer");
    scales->place(at::kCPU, true);
    scales->begin_step();
    const double x = group->rank() == 1 ? 100 : 1;
    nn::linear(at::full({1, 1}, x, at::kDouble),
               {at::full({1, 1}, 1.0, at::kDouble), {}, nullptr, {scales, 0}});
    scales->agree({group}, kSound);
    found[static_cast<std::size_t>(group->rank())] = scale(*scales, 0, Role::input);
  });
  CHECK(found == std::vector<double>(3, 2));
}

TEST_CASE("scales that are written from elsewhere hold at once") {
  auto scales = scales_of(1);
  scales->scales().fill_(128);
  scales->changed();
  const nn::Linear layer{at::full({1, 1}, 1.0, at::kDouble), {}, nullptr, {scales, 0}};
  CHECK(nn::linear(at::full({1, 1}, 1.05, at::kDouble), layer).item<double>() == 1);
}
