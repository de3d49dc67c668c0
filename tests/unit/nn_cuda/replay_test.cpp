#include "cornstarch/nn/replay.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros_like.h>
#include <c10/cuda/CUDAGuard.h>

#include "cornstarch/nn/layers.h"
#include "gpu.h"

using namespace cornstarch;
using nn::Replayed;

namespace {

/// The default stream cannot be recorded.
struct OwnStream {
  c10::cuda::CUDAStreamGuard guard{c10::cuda::getStreamFromPool()};
};

/// Two layers whose gradients add up in memory of their own, as the store has it.
struct Model {
  at::Tensor in = parameter({64, 32}, 1), out = parameter({32, 64}, 2);
  int calls = 0;

  static at::Tensor parameter(const std::vector<std::int64_t>& shape, std::uint64_t seed) {
    at::Tensor value = (noise(shape, seed) * 0.2).to(at::kCUDA, at::kFloat).set_requires_grad(true);
    value.mutable_grad() = at::zeros_like(value);
    return value;
  }

  at::Tensor operator()(const at::Tensor& x) {
    ++calls;
    return at::linear(nn::activation(catalog::Activation::gelu, at::linear(x, in)), out);
  }
};

at::Tensor input(std::int64_t rows, std::uint64_t seed, bool requires_grad = true) {
  return noise({rows, 32}, seed).to(at::kCUDA, at::kFloat).set_requires_grad(requires_grad);
}

at::Tensor gradient(std::int64_t rows, std::uint64_t seed) {
  return noise({rows, 32}, 1000 + seed).to(at::kCUDA, at::kFloat);
}

void expect_equal(const at::Tensor& got, const at::Tensor& expected) { CHECK(at::equal(got, expected)); }

void expect_same_gradients(const Model& got, const Model& expected) {
  expect_equal(got.in.grad(), expected.in.grad());
  expect_equal(got.out.grad(), expected.out.grad());
}

}  // namespace

TEST_CASE("what is replayed computes what is launched, two microbatches under way", "[cuda]") {
  const OwnStream stream;
  Model expected, got;
  Replayed replayed([&](const at::Tensor& x) { return got(x); });
  for (std::uint64_t round = 0; round < 8; ++round) {
    CAPTURE(round);
    struct Flight {
      at::Tensor x, y;
    };
    std::vector<Flight> a, b;
    for (std::uint64_t m = 0; m < 2; ++m) {
      const at::Tensor x = input(48, 10 * round + m), same = input(48, 10 * round + m);
      a.push_back({x, replayed(x)});
      b.push_back({same, expected(same)});
    }
    for (std::size_t m = 0; m < 2; ++m) {
      expect_equal(a[m].y, b[m].y);
      a[m].y.backward(gradient(48, m));
      b[m].y.backward(gradient(48, m));
    }
    for (std::size_t m = 0; m < 2; ++m) expect_equal(a[m].x.grad(), b[m].x.grad());
    expect_same_gradients(got, expected);
    const at::NoGradGuard no_grad;  // an update in place
    for (Model* model : {&got, &expected}) {
      model->in.sub_(model->in.grad(), 0.01);
      model->out.sub_(model->out.grad(), 0.01);
    }
  }
  CHECK(replayed.recorded() == 2);
  CHECK(got.calls == 4 + 2);
}

TEST_CASE("parameters get gradients where the input needs none", "[cuda]") {
  const OwnStream stream;
  Model expected, got;
  Replayed replayed([&](const at::Tensor& x) { return got(x); });
  for (std::uint64_t m = 0; m < 6; ++m) {
    const at::Tensor x = input(16, m, false);
    replayed(x).backward(gradient(16, m));
    expected(x).backward(gradient(16, m));
  }
  expect_same_gradients(got, expected);
  CHECK(replayed.recorded() == 1);
}

TEST_CASE("results without a backward outlive the next replay", "[cuda]") {
  const OwnStream stream;
  const at::NoGradGuard no_grad;
  Model model;
  Replayed replayed([&](const at::Tensor& x) { return model(x); });
  std::vector<at::Tensor> got;
  for (std::uint64_t m = 0; m < 8; ++m) got.push_back(replayed(input(16, m, false)));
  for (std::uint64_t m = 0; m < 8; ++m) expect_equal(got[m], model(input(16, m, false)));
  CHECK(replayed.recorded() == 1);
}

TEST_CASE("a forward that is given up gives its recording back", "[cuda]") {
  const OwnStream stream;
  Model model;
  Replayed replayed([&](const at::Tensor& x) { return model(x); });
  for (std::uint64_t m = 0; m < 3; ++m) replayed(input(16, m)).backward(gradient(16, m));
  for (std::uint64_t m = 0; m < 8; ++m) replayed(input(16, m));
  CHECK(replayed.recorded() == 1);
}

TEST_CASE("nothing is recorded before backward has run", "[cuda]") {
  const OwnStream stream;
  Model expected, got;
  Replayed replayed([&](const at::Tensor& x) { return got(x); });
  std::vector<at::Tensor> under_way;
  for (std::uint64_t m = 0; m < 5; ++m) under_way.push_back(replayed(input(16, m)));
  CHECK(replayed.recorded() == 0);
  for (std::uint64_t m = 0; m < 5; ++m) {
    under_way[m].backward(gradient(16, m));
    expected(input(16, m)).backward(gradient(16, m));
  }
  replayed(input(16, 5)).backward(gradient(16, 5));
  expected(input(16, 5)).backward(gradient(16, 5));
  CHECK(replayed.recorded() == 1);
  expect_same_gradients(got, expected);
}

TEST_CASE("few kinds of inputs are recorded, others launched", "[cuda]") {
  const OwnStream stream;
  Model expected, got;
  Replayed replayed([&](const at::Tensor& x) { return got(x); });
  for (std::uint64_t round = 0; round < 6; ++round) {
    for (std::int64_t rows = 1; rows <= 6; ++rows) {
      const at::Tensor x = input(rows, round), same = input(rows, round);
      const at::Tensor y = replayed(x), expected_y = expected(same);
      expect_equal(y, expected_y);
      y.backward(gradient(rows, round));
      expected_y.backward(gradient(rows, round));
      expect_equal(x.grad(), same.grad());
    }
  }
  expect_same_gradients(got, expected);
  CHECK(replayed.recorded() == 4);
}
