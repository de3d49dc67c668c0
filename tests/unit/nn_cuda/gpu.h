#pragma once

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/isfinite.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <vector>

#include "../nn/expect_close.h"
#include "catch.h"

/// A type, and how far results may be from those in fp64, as a share of their L2 norm.
struct Precision {
  at::ScalarType type;
  double bound;
};
inline std::vector<Precision> precisions() {
  return {{at::kFloat, 1e-6}, {at::kBFloat16, 5e-3}, {at::kDouble, 1e-13}};
}

/// While it lives, memory that ATen hands out is full of NaN.
struct Poison {
  Poison() {
    at::globalContext().setDeterministicFillUninitializedMemory(true);
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
  }
  ~Poison() { at::globalContext().setDeterministicAlgorithms(false, false); }
};

inline void expect_near(const at::Tensor& got_in, const at::Tensor& expected, double bound) {
  REQUIRE(got_in.defined());
  REQUIRE(got_in.sizes() == expected.sizes());
  const at::Tensor got = got_in.to(at::kCPU, at::kDouble);
  CHECK(at::isfinite(got).all().item<bool>());
  const double error = (got - expected).norm().item<double>(), scale = expected.norm().item<double>();
  CAPTURE(error, scale);
  CHECK(error <= bound * scale);
}

using Tensors = std::vector<at::Tensor>;
using Function = std::function<Tensors(const Tensors&)>;

/// Compares a function on the GPU with one in fp64 on the CPU: values, and the gradients of all inputs under
/// gradients of the outputs that are noise. Both take the inputs as the type rounds them.
inline void expect_same(const Function& got, const Function& expected, const Tensors& inputs,
                        const Precision& precision) {
  Tensors on_gpu, on_cpu;
  for (const at::Tensor& input : inputs) {
    const at::Tensor rounded = input.to(precision.type);
    on_gpu.push_back(rounded.to(at::kCUDA).set_requires_grad(true));
    on_cpu.push_back(leaf(rounded.to(at::kDouble)));
  }
  const Poison poison;
  const Tensors a = got(on_gpu), b = expected(on_cpu);
  REQUIRE(a.size() == b.size());
  at::Tensor total_a, total_b;
  for (std::size_t i = 0; i < a.size(); ++i) {
    CAPTURE(i);
    expect_near(a[i].detach(), b[i].detach(), precision.bound);
    const at::Tensor grad = noise(b[i].sizes().vec(), 90 + i).to(precision.type);
    const at::Tensor sum_a = (a[i] * grad.to(at::kCUDA)).sum(), sum_b = (b[i] * grad.to(at::kDouble)).sum();
    total_a = total_a.defined() ? total_a + sum_a : sum_a;
    total_b = total_b.defined() ? total_b + sum_b : sum_b;
  }
  total_a.backward();
  total_b.backward();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    INFO("gradient of input " << i);
    expect_near(on_gpu[i].grad(), on_cpu[i].grad(), precision.bound);
  }
}

/// Noise of a type on the GPU, repeating itself where that is quicker.
inline at::Tensor gpu_noise(const std::vector<std::int64_t>& shape, at::ScalarType type, std::uint64_t seed) {
  std::int64_t numel = 1;
  for (const std::int64_t size : shape) numel *= size;
  const std::int64_t some = std::min<std::int64_t>(numel, 100003);
  const at::Tensor drawn = noise({some}, seed).to(at::kCUDA, type);
  return drawn.repeat({(numel + some - 1) / some}).narrow(0, 0, numel).view(shape).clone();
}

/// Milliseconds of one call on the device, the median of 20.
inline double median_ms(const std::function<void()>& call) {
  cudaEvent_t begin = nullptr, end = nullptr;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  std::vector<float> times;
  for (int i = 0; i < 25; ++i) {
    cudaEventRecord(begin);
    call();
    cudaEventRecord(end);
    cudaEventSynchronize(end);
    float ms = 0;
    cudaEventElapsedTime(&ms, begin, end);
    if (i >= 5) times.push_back(ms);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::nth_element(times.begin(), times.begin() + 10, times.end());
  return times[10];
}

inline void print_bandwidth(const char* name, double bytes, const std::function<void()>& call) {
  const double ms = median_ms(call);
  std::printf("%-44s %8.3f ms %7.0f GB/s\n", name, ms, bytes / ms * 1e-6);
}
