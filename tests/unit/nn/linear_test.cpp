#include "cornstarch/nn/linear.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>

#include "catch.h"
#include "cornstarch/nn/recompute.h"
#include "expect_close.h"

using namespace cornstarch;

namespace {

const std::vector<std::int64_t> kShape{2, 5, 8};

/// The gradients of x, weight and bias.
std::vector<at::Tensor> gradients(const at::Tensor& y, const std::vector<at::Tensor>& leaves) {
  (y * noise(y.sizes().vec(), 9)).sum().backward();
  std::vector<at::Tensor> out;
  for (const at::Tensor& leaf : leaves) out.push_back(leaf.grad());
  return out;
}

}  // namespace

TEST_CASE("a layer's output and gradients are those of ATen's") {
  for (const bool with_bias : {false, true}) {
    std::vector<at::Tensor> ours, theirs;
    for (auto* leaves : {&ours, &theirs})
      *leaves = {leaf(noise(kShape, 1)), leaf(noise({6, 8}, 2)), leaf(noise({6}, 3))};
    const at::Tensor y = nn::linear(ours[0], {ours[1], with_bias ? ours[2] : at::Tensor()});
    const at::Tensor expected = at::linear(theirs[0], theirs[1], with_bias ? theirs[2] : at::Tensor());
    CHECK(y.equal(expected));
    const auto got = gradients(y, ours), want = gradients(expected, theirs);
    expect_close(got[0], want[0], 1e-14);
    expect_close(got[1], want[1], 1e-14);
    if (with_bias) expect_close(got[2], want[2], 1e-14);
  }
  const at::Tensor x = noise(kShape, 1), weight = noise({6, 8}, 2);
  CHECK_FALSE(nn::linear(x, {weight}).requires_grad());
  const at::Tensor frozen = nn::linear(leaf(x), {weight});
  CHECK(frozen.requires_grad());
}

TEST_CASE("layers of one input give it the sum of their gradients, whichever of them got one") {
  for (const bool both : {false, true}) {
    std::vector<at::Tensor> ours, theirs;
    for (auto* leaves : {&ours, &theirs})
      *leaves = {leaf(noise(kShape, 1)), leaf(noise({6, 8}, 2)), leaf(noise({6}, 3)), leaf(noise({6, 8}, 4))};
    const auto got = nn::linears(ours[0], {{ours[1], ours[2]}, {ours[3]}});
    const at::Tensor first = at::linear(theirs[0], theirs[1], theirs[2]),
                     second = at::linear(theirs[0], theirs[3]);
    CHECK(got[0].equal(first));
    CHECK(got[1].equal(second));
    const auto mine = gradients(both ? got[0] + 3 * got[1] : got[1], ours);
    const auto want = gradients(both ? first + 3 * second : second, theirs);
    for (std::size_t i = 0; i < want.size(); ++i) {
      CAPTURE(both, i);
      REQUIRE(mine[i].defined() == want[i].defined());
      if (want[i].defined()) expect_close(mine[i], want[i], 1e-14);
    }
  }
}

TEST_CASE("a weight that is looked at as a matrix adds to a sum of its own shape") {
  const auto sum = std::make_shared<nn::GradientSum>();
  const at::Tensor x = noise(kShape, 1), weight = leaf(noise({6, 2, 2, 2}, 2));
  const auto backward = [&] {
    const at::Tensor y = nn::linear(x, {weight.view({6, 8}), {}, sum});
    (y * noise(y.sizes().vec(), 9)).sum().backward();
  };
  backward();
  const at::Tensor expected = weight.grad().clone();
  weight.mutable_grad().reset();
  const at::Tensor where = at::full({6, 2, 2, 2}, 100.0, at::kDouble);
  sum->open(where);
  backward();
  expect_close(where, expected, 1e-14);
  CHECK_FALSE(weight.grad().defined());
}

TEST_CASE("while its sum is open, a weight's gradient is added there and nowhere else") {
  const auto sum = std::make_shared<nn::GradientSum>();
  const at::Tensor x = noise(kShape, 1), weight = leaf(noise({6, 8}, 2));
  const auto backward = [&] {
    const at::Tensor y = nn::linear(x, {weight, {}, sum});
    (y * noise(y.sizes().vec(), 9)).sum().backward();
  };
  backward();
  const at::Tensor expected = weight.grad().clone();
  weight.mutable_grad().reset();
  const at::Tensor where = at::full({6, 8}, 100.0, at::kDouble);
  sum->open(where);
  backward();
  expect_close(where, expected, 1e-14);
  backward();
  expect_close(where, 2 * expected, 1e-14);
  sum->add(expected);
  sum->add_scaled(expected, at::full({}, 3.0, at::kDouble));
  sum->close();
  expect_close(where, 6 * expected, 1e-14);
  CHECK_FALSE(weight.grad().defined());
  backward();
  CHECK(weight.grad().defined());
}

TEST_CASE("a sum: what comes first overwrites, unless it adds; where nothing comes it is zero") {
  const at::Tensor where = at::full({2, 2}, 100.0, at::kDouble), one = at::full({2, 2}, 1.0, at::kDouble);
  nn::GradientSum sum;
  const auto is = [&](double value) { return where.eq(value).all().item<bool>(); };
  sum.open(where);
  sum.add(one);
  CHECK(is(1));
  sum.open(where);
  sum.add_scaled(one, at::full({}, 3.0, at::kDouble));
  CHECK(is(3));
  sum.open(where);
  sum.add_product(one, one);
  CHECK(is(2));
  sum.open(where, /*adds=*/true);
  sum.add_product(one, one);
  CHECK(is(4));
  sum.complete();
  CHECK(is(4));
  sum.open(where);
  sum.close();
  CHECK(is(0));
  CHECK_FALSE(sum.is_open());
}

TEST_CASE("products of bf16 add up in fp32") {
  nn::GradientSum sum;
  const at::Tensor where = at::full({1, 1}, 7.0F, at::kFloat);
  sum.open(where);
  const auto scalar = [](double x) { return at::full({1, 1}, x, at::kBFloat16); };
  sum.add_product(scalar(256), scalar(1));
  sum.add_product(scalar(1), scalar(1));  // lost in bf16, which has eight bits
  CHECK(where.item<float>() == 257);
}

TEST_CASE("adapters add scale * B A x to what layers give, and take their part of the gradients") {
  std::vector<at::Tensor> ours, theirs;  // x, two weights, A and B of the first layer, A and B of the second
  for (auto* leaves : {&ours, &theirs})
    *leaves = {leaf(noise(kShape, 1)), leaf(noise({6, 8}, 2)), leaf(noise({4, 8}, 3)), leaf(noise({3, 8}, 4)),
               leaf(noise({6, 3}, 5)), leaf(noise({2, 8}, 6)), leaf(noise({4, 2}, 7))};
  const auto layer = [&](int weight, int a, double scale) {
    return nn::Linear{ours[weight],
                      {},
                      nullptr,
                      {},
                      std::make_shared<nn::Adapter>(nn::Adapter{{ours[a]}, {ours[a + 1]}, scale})};
  };
  const auto expected = [&](int weight, int a, double scale) {
    return at::linear(theirs[0], theirs[weight]) +
           scale * at::linear(at::linear(theirs[0], theirs[a]), theirs[a + 1]);
  };
  const std::vector<nn::Linear> layers{layer(1, 3, 2.5), layer(2, 5, 0.5)};
  const auto got = nn::linears(ours[0], layers);
  const at::Tensor first = expected(1, 3, 2.5), second = expected(2, 5, 0.5);
  expect_close(got[0], first, 1e-14);
  expect_close(got[1], second, 1e-14);
  expect_close(nn::linear(ours[0], layers[1]), second, 1e-14);
  expect_close(nn::weight_of(*layers[0].adapter), 2.5 * at::matmul(theirs[4], theirs[3]), 1e-14);
  ((got[0] * noise({2, 5, 6}, 9)).sum() + (got[1] * noise({2, 5, 4}, 10)).sum()).backward();
  ((first * noise({2, 5, 6}, 9)).sum() + (second * noise({2, 5, 4}, 10)).sum()).backward();
  for (std::size_t i = 0; i < ours.size(); ++i) {
    CAPTURE(i);
    expect_close(ours[i].grad(), theirs[i].grad(), 1e-13);
  }
}

TEST_CASE("what an adapter takes is dropped, what its layer takes is not, whether kept or computed again") {
  const auto names = nn::RowNames{at::arange(10, at::kLong), 2};
  const std::vector<nn::Dropout> dropouts{{1, 0.4}, {2, 0.6}};
  const bool again = GENERATE(false, true);
  std::vector<at::Tensor> ours, theirs;  // x, a weight, A and B of the first layer, A and B of the second
  for (auto* leaves : {&ours, &theirs})
    *leaves = {leaf(noise(kShape, 1)), leaf(noise({6, 8}, 2)), leaf(noise({3, 8}, 3)),
               leaf(noise({6, 3}, 4)), leaf(noise({2, 8}, 5)), leaf(noise({6, 2}, 6))};
  std::vector<nn::Linear> layers;
  for (int i = 0; i < 2; ++i) {
    nn::Adapter adapter{{ours[2 + 2 * i]}, {ours[3 + 2 * i]}, 2.5};
    adapter.a.dropout = dropouts[i];
    layers.push_back({ours[1], {}, nullptr, {}, std::make_shared<nn::Adapter>(adapter)});
  }
  const auto got = again ? nn::recomputed_linear([](at::TensorList in) { return in[0] * 2; }, {ours[0]},
                                                 layers, {{}, names})
                         : nn::linears(ours[0] * 2, layers, {{}, names});
  const at::Tensor x = theirs[0] * 2;
  at::Tensor ours_sum, theirs_sum;
  for (int i = 0; i < 2; ++i) {
    CAPTURE(again, i);
    const at::Tensor mask = nn::drop(at::full({10, 8}, 1.0, at::kDouble), dropouts[i], names).view(kShape);
    const at::Tensor want = at::linear(x, theirs[1]) +
                            2.5 * at::linear(at::linear(x * mask, theirs[2 + 2 * i]), theirs[3 + 2 * i]);
    expect_close(got[i], want, 1e-14);
    const at::Tensor grad = noise({2, 5, 6}, 9 + i);
    ours_sum = i == 0 ? (got[i] * grad).sum() : ours_sum + (got[i] * grad).sum();
    theirs_sum = i == 0 ? (want * grad).sum() : theirs_sum + (want * grad).sum();
  }
  ours_sum.backward();
  theirs_sum.backward();
  for (std::size_t i = 0; i < ours.size(); ++i) {
    CAPTURE(again, i);
    expect_close(ours[i].grad(), theirs[i].grad(), 1e-13);
  }
  CHECK(nn::linears(ours[0], layers)[0].equal(nn::linears(ours[0], layers, {{}, {{}, 7}})[0]));
}
