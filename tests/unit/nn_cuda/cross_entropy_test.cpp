#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/full.h>
#include <ATen/ops/maximum.h>

#include <cmath>

#include "cornstarch/nn/cross_entropy.h"
#include "cuda_layers.h"
#include "gpu.h"

using namespace cornstarch::nn;

namespace {

struct Statistics {
  at::Tensor own;  // [3, n]
  at::Tensor max() const { return own[0]; }
  at::Tensor sum() const { return own[1]; }
  at::Tensor target() const { return own[2]; }
};

Statistics statistics(const at::Tensor& logits, const at::Tensor& targets, std::int64_t first) {
  const auto type = logits.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  Statistics out{at::full({3, logits.size(0)}, std::nan(""), logits.options().dtype(type))};
  cuda::logit_statistics(logits, targets, first, out.own);
  return out;
}

at::Tensor some_targets(std::int64_t rows, std::int64_t columns) {
  return (at::arange(rows, at::kLong) * 7919).remainder(columns);
}

}  // namespace

TEST_CASE("the cross-entropy of logits on the GPU equals the CPU's in fp64", "[cuda]") {
  for (const Precision& precision : precisions()) {
    for (const auto& [rows, columns] : std::vector<std::pair<std::int64_t, std::int64_t>>{
             {1, 1}, {1, 8}, {9, 13}, {5, 32003}, {3, 128256}, {700, 264}}) {
      CAPTURE(precision.type, rows, columns);
      // exp of these overflows fp32 unless the maximum is taken off.
      const at::Tensor rounded = (noise({rows, columns}, 1) * 30).to(precision.type);
      const at::Tensor targets = some_targets(rows, columns);
      at::Tensor exact = leaf(rounded.to(at::kDouble));
      const at::Tensor loss = at::cross_entropy_loss(exact, targets, {}, /*sum*/ 2);
      loss.backward();

      const at::Tensor logits = rounded.to(at::kCUDA), targets_there = targets.to(at::kCUDA);
      const Statistics s = statistics(logits, targets_there, 0);
      CHECK(s.max().to(at::kCPU, at::kDouble).equal(exact.detach().amax({1})));
      expect_close((s.sum().log() + s.max() - s.target()).sum(at::kDouble).cpu(), loss.detach(), 1e-5);
      cuda::logit_gradient(logits, targets_there, 0, s.max(), s.sum());
      expect_near(logits, exact.grad(), std::max(precision.bound, 1e-12));
    }
  }
}

TEST_CASE("statistics of shares of the vocabulary put together are those of the whole", "[cuda]") {
  const at::Tensor logits = gpu_noise({50, 1000}, at::kBFloat16, 1) * 10;
  const at::Tensor targets = some_targets(50, 1000).to(at::kCUDA);
  const Statistics whole = statistics(logits, targets, 0);
  const at::Tensor left = logits.narrow(1, 0, 333).contiguous(),
                   right = logits.narrow(1, 333, 667).contiguous();
  const Statistics a = statistics(left, targets, 0), b = statistics(right, targets, 333);
  CHECK(at::maximum(a.max(), b.max()).equal(whole.max()));
  CHECK((a.target() + b.target()).equal(whole.target()));
  expect_near(a.sum() * (a.max() - whole.max()).exp() + b.sum() * (b.max() - whole.max()).exp(),
              whole.sum().to(at::kCPU, at::kDouble), 1e-6);

  cuda::logit_gradient(left, targets, 0, whole.max(), whole.sum());
  cuda::logit_gradient(right, targets, 333, whole.max(), whole.sum());
  cuda::logit_gradient(logits, targets, 0, whole.max(), whole.sum());
  CHECK(at::cat({left, right}, 1).equal(logits));
}

TEST_CASE("the head's cross-entropy on the GPU equals the CPU's in fp64, a few rows at a time", "[cuda]") {
  // bf16 rounds the logits too, which are large beside their differences.
  for (const Precision& precision :
       {Precision{at::kFloat, 2e-6}, Precision{at::kBFloat16, 2e-2}, Precision{at::kDouble, 1e-12}}) {
    CAPTURE(precision.type);
    const at::Tensor targets = some_targets(50, 1003);
    for (const double softcap : {0.0, 3.0}) {
      CAPTURE(softcap);
      const auto f = [&](const Tensors& in) {
        const at::Tensor loss =
            linear_cross_entropy(in[0], {in[1]}, targets.to(in[0].device()), 0, 1003,
                                 cornstarch::comm::alone()->world(), 4 * 1003 * 7, softcap);
        return Tensors{loss};
      };
      expect_same(f, f, {noise({50, 64}, 1), noise({1003, 64}, 2) * 0.2}, precision);
    }
  }
}

TEST_CASE("bandwidth of the cross-entropy", "[.bench]") {
  const std::int64_t rows = 2048, columns = 128256;
  const at::Tensor logits = gpu_noise({rows, columns}, at::kBFloat16, 1),
                   targets = some_targets(rows, columns).to(at::kCUDA);
  const Statistics s = statistics(logits, targets, 0);
  const at::Tensor max = s.max(), sum = s.sum();
  const double once = static_cast<double>(rows * columns) * 2;
  std::printf("cross-entropy of bf16 logits [%ld, %ld]\n", rows, columns);
  print_bandwidth("statistics", once, [&] { cuda::logit_statistics(logits, targets, 0, s.own); });
  print_bandwidth("gradient in place", 2 * once, [&] { cuda::logit_gradient(logits, targets, 0, max, sum); });
}
