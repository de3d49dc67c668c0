#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "cornstarch/optim/fused.h"
#include "gpu.h"

using namespace cornstarch::optim;

namespace {

struct Types {
  at::ScalarType value, master, gradient;
  double bound;
};
const std::vector<Types> all_types{{at::kFloat, at::kFloat, at::kFloat, 1e-6},
                                   {at::kFloat, at::kFloat, at::kBFloat16, 1e-6},
                                   {at::kBFloat16, at::kFloat, at::kFloat, 1e-6},
                                   {at::kBFloat16, at::kFloat, at::kBFloat16, 1e-6},
                                   {at::kDouble, at::kDouble, at::kDouble, 1e-13}};

// The definition, in fp64 on the CPU.
struct Reference {
  at::Tensor master, first, second;

  void step(const at::Tensor& gradient_in, const AdamwStep& s, double n, double weight_decay, double scale) {
    const at::Tensor gradient = gradient_in * scale;
    first = s.beta1 * first + (1 - s.beta1) * gradient;
    second = s.beta2 * second + (1 - s.beta2) * gradient * gradient;
    const at::Tensor mean = first / (1 - std::pow(s.beta1, n)), square = second / (1 - std::pow(s.beta2, n));
    master = master * (1 - s.lr * weight_decay) - s.lr * mean / (square.sqrt() + s.eps);
  }
};

// Runs of one flat tensor, of sizes and at addresses that are multiples of nothing, and more of them than a
// launch takes.
std::vector<std::int64_t> sizes() {
  std::vector<std::int64_t> out{1, 4096, 4097, 3, 20001, 8};
  for (int i = 0; i < 450; ++i) out.push_back(1 + i % 5);
  return out;
}

at::Tensor count(std::int64_t steps) {
  return at::full({}, static_cast<double>(steps), at::TensorOptions(at::kCUDA).dtype(at::kFloat));
}

}  // namespace

TEST_CASE("AdamW on the GPU equals its definition in fp64", "[cuda]") {
  for (const Types& types : all_types) {
    CAPTURE(types.value, types.master, types.gradient);
    std::int64_t total = 0;
    for (const std::int64_t size : sizes()) total += size;
    const bool own_master = types.value != types.master;
    const at::Tensor start = noise({total}, 1).to(types.master);
    const at::Tensor master = start.to(at::kCUDA), first = at::zeros_like(master),
                     second = at::zeros_like(master);
    const auto on_gpu = [](at::ScalarType type) { return at::TensorOptions(at::kCUDA).dtype(type); };
    const at::Tensor value = own_master ? at::full({total}, std::nan(""), on_gpu(types.value)) : at::Tensor();
    const at::Tensor gradient = at::empty({total}, on_gpu(types.gradient));
    std::vector<AdamwSegment> segments;
    std::vector<Reference> references;
    std::int64_t begin = 0;
    for (const std::int64_t size : sizes()) {
      const auto run = [&](const at::Tensor& x) { return x.defined() ? x.narrow(0, begin, size) : x; };
      segments.push_back({run(value), run(master), run(gradient), run(first), run(second), begin % 3 * 0.1});
      const at::Tensor zero = at::zeros({size}, at::kDouble);
      references.push_back({start.narrow(0, begin, size).to(at::kDouble), zero, zero});
      begin += size;
    }
    const at::Tensor scale = at::full({}, 0.25, on_gpu(at::kFloat));
    for (std::int64_t n = 1; n <= 3; ++n) {
      const AdamwStep step{1e-2, 0.9, 0.95, 1e-8, count(n), scale, {}};
      const at::Tensor drawn = noise({total}, 10 + static_cast<std::uint64_t>(n)).to(types.gradient);
      gradient.copy_(drawn);
      fused_adamw(segments, step);
      for (std::size_t i = 0, at = 0; i < segments.size(); at += static_cast<std::size_t>(sizes()[i]), ++i) {
        references[i].step(drawn.narrow(0, static_cast<std::int64_t>(at), sizes()[i]).to(at::kDouble), step,
                           static_cast<double>(n), segments[i].weight_decay, 0.25);
      }
    }
    std::vector<at::Tensor> masters, firsts, seconds;
    for (const Reference& r : references) {
      masters.push_back(r.master);
      firsts.push_back(r.first);
      seconds.push_back(r.second);
    }
    expect_near(master, at::cat(masters), types.bound);
    expect_near(first, at::cat(firsts), types.bound);
    expect_near(second, at::cat(seconds), types.bound);
    if (own_master) CHECK(value.equal(master.to(types.value)));
  }
}

TEST_CASE("AdamW changes nothing where the device says so", "[cuda]") {
  const at::Tensor x = gpu_noise({1000}, at::kFloat, 1), before = x.clone(), first = at::zeros_like(x),
                   second = at::zeros_like(x), gradient = gpu_noise({1000}, at::kFloat, 2);
  const std::vector<AdamwSegment> segments{{{}, x, gradient, first, second, 0.1}};
  const auto step = [&](bool skip) {
    fused_adamw(segments, {1e-2, 0.9, 0.95, 1e-8, count(1), {}, at::full({}, skip ? 1 : 0, x.options())});
  };
  step(true);
  CHECK(x.equal(before));
  CHECK(first.eq(0).all().item<bool>());
  step(false);
  CHECK_FALSE(x.equal(before));
}

TEST_CASE("masters take updates that bf16 would lose", "[cuda]") {
  const at::Tensor master = at::ones({16}, at::TensorOptions(at::kCUDA).dtype(at::kFloat)),
                   value = master.to(at::kBFloat16), gradient = at::ones_like(master),
                   first = at::zeros_like(master), second = at::zeros_like(master);
  for (std::int64_t n = 1; n <= 100; ++n)
    fused_adamw({{value, master, gradient, first, second, 0}}, {1e-4, 0.9, 0.95, 1e-8, count(n), {}, {}});
  CHECK(master[0].item<float>() == Approx(0.99).epsilon(1e-5));
  CHECK(value[0].item<float>() == Approx(0.9883).epsilon(3e-3));
  CHECK(value[0].item<float>() < 1);
}

TEST_CASE("squared norms on the GPU equal the CPU's in fp64, the same every time", "[cuda]") {
  for (const Precision& precision : precisions()) {
    CAPTURE(precision.type);
    double expected = 0;
    Tensors gradients;
    for (const std::int64_t size : sizes()) {
      const at::Tensor drawn = noise({size + 1}, static_cast<std::uint64_t>(size)).to(precision.type);
      gradients.push_back(drawn.to(at::kCUDA).narrow(0, size % 2, size));  // some at odd addresses
      expected += drawn.narrow(0, size % 2, size).to(at::kDouble).pow(2).sum().item<double>();
    }
    gradients.push_back(gradients[0].narrow(0, 0, 0));
    const Poison poison;
    const at::Tensor got = fused_squared_norm(gradients);
    CHECK(got.scalar_type() == at::kDouble);
    CHECK(got.item<double>() == Approx(expected).epsilon(1e-13));
    CHECK(fused_squared_norm(gradients).equal(got));
  }
}

TEST_CASE("bandwidth of AdamW and the squared norm", "[.bench]") {
  const std::int64_t size = 300'000'000;
  const at::Tensor master = at::ones({size}, at::TensorOptions(at::kCUDA).dtype(at::kFloat)),
                   first = at::zeros_like(master), second = at::zeros_like(master),
                   value = master.to(at::kBFloat16), gradient = master.clone(),
                   narrow_gradient = value.clone();
  std::vector<AdamwSegment> wide, narrow;
  for (std::int64_t begin = 0; begin < size; begin += size / 100) {
    const auto run = [&](const at::Tensor& x) { return x.narrow(0, begin, size / 100); };
    wide.push_back({run(value), run(master), run(gradient), run(first), run(second), 0.1});
    narrow.push_back({run(value), run(master), run(narrow_gradient), run(first), run(second), 0.1});
  }
  const AdamwStep step{1e-4, 0.9, 0.95, 1e-8, count(1), {}, {}};
  const auto n = static_cast<double>(size);
  std::printf("AdamW over %ld elements in 100 segments\n", size);
  print_bandwidth("bf16 values, fp32 gradients", 30 * n, [&] { fused_adamw(wide, step); });
  print_bandwidth("bf16 values, bf16 gradients", 28 * n, [&] { fused_adamw(narrow, step); });
  print_bandwidth("squared norm of fp32", 4 * n, [&] { fused_squared_norm({gradient}); });
  print_bandwidth("squared norm of bf16", 2 * n, [&] { fused_squared_norm({narrow_gradient}); });
}
