#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <vector>

#include "catch.h"
#include "cornstarch/base/random.h"

/// Standard normal values in fp64, the same in every run.
inline at::Tensor noise(const std::vector<std::int64_t>& shape, std::uint64_t seed) {
  at::Tensor out = at::empty(shape, at::kDouble);
  const cornstarch::Philox philox(seed);
  double* data = out.mutable_data_ptr<double>();
  for (std::int64_t i = 0; i < out.numel(); ++i) data[i] = philox.normal(static_cast<std::uint64_t>(i));
  return out;
}

inline at::Tensor leaf(const at::Tensor& value) { return value.detach().clone().set_requires_grad(true); }

/// max|got - expected| <= tolerance x max(1, max|expected|).
inline void expect_close(const at::Tensor& got, const at::Tensor& expected, double tolerance) {
  REQUIRE(got.defined());
  REQUIRE(got.sizes() == expected.sizes());
  if (got.numel() == 0) return;
  const double scale = std::max(1.0, expected.abs().max().item<double>());
  const double error = (got.to(at::kDouble) - expected.to(at::kDouble)).abs().max().item<double>();
  CHECK(error <= tolerance * scale);
}
