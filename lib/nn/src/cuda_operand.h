#pragma once

#include <ATen/core/Tensor.h>

#include "cornstarch/nn/fp8.h"
#include "operand.h"

/// e4m3 on GPUs. In bf16 only; dimensions of weights are multiples of 16.
namespace cornstarch::nn::cuda {

/// x [n, k] times its site's scale, rounded, in those forms; notes its largest value of the rows that are
/// `counted` (undefined: of all).
Fp8Matrix to_fp8(const at::Tensor& x, const Fp8Scales::Site& site, Forms forms, const at::Tensor& counted);

/// Rows [n, k] that lie one behind the other, in e4m3, and what they are to be multiplied by.
struct Fp8Rows {
  at::Tensor numbers;
  at::Tensor inverse;
};

/// a b^T [a.n, b.n] and the bias, in bf16.
at::Tensor fp8_product(const Fp8Rows& a, const Fp8Rows& b, const at::Tensor& bias);

/// a b^T into `into` of bf16 or fp32, or added to it, summed up as precisely as the GPU can.
void fp8_gradient(const at::Tensor& into, const Fp8Rows& a, const Fp8Rows& b, bool adds);

}  // namespace cornstarch::nn::cuda
