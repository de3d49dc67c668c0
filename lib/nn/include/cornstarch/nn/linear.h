#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "cornstarch/nn/gradient_sum.h"

namespace cornstarch::nn {

struct Linear {
  at::Tensor weight = {};        ///< [out, in]
  at::Tensor bias = {};          ///< undefined where there is none
  GradientSumPtr sum = nullptr;  ///< of the weight; null: autograd's
};

/// x [..., in] through the layer. All products of activations with weights go through here, or through
/// recomputed_linear and linear_cross_entropy, which share what follows.
at::Tensor linear(const at::Tensor& x, const Linear& layer);

/// The weight's gradient, given rows of the output's gradient [n, out] and of the input [n, in]: undefined
/// where it has been added to the layer's sum.
at::Tensor weight_gradient(const Linear& layer, const at::Tensor& grad, const at::Tensor& x);

}  // namespace cornstarch::nn
