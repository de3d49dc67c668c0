#pragma once

#include <ATen/core/Tensor.h>

#include "cornstarch/nn/linear.h"
#include "layers.h"

namespace cornstarch::models {

using nn::Linear;

Linear linear_of(const ParameterSet& parameters, const catalog::LinearSpec& spec);
/// The same of a block, which may have an adapter, and whose products may be in fp8.
Linear layer_of(const LayerContext& context, const catalog::LinearSpec& spec);

/// Replicated or column-parallel: whatever rows of the weight this rank has.
at::Tensor apply(const Linear& linear, const at::Tensor& x);

/// Row-parallel: the partial products are added over tp, then the bias, once. The result is a tensor of its
/// own.
at::Tensor apply_row_parallel(const Linear& linear, const at::Tensor& x, const comm::GroupPtr& tp);

struct NormWeights {
  catalog::NormKind kind;
  double eps;
  std::int64_t size;  // of what is normed; of a rank's own heads, weight is a part of it
  at::Tensor weight;
  at::Tensor bias;    // layer_norm
  double offset = 0;  // rms_norm
};

NormWeights norm_of(const ParameterSet& parameters, const catalog::NormSpec& spec);
at::Tensor apply(const NormWeights& norm, const at::Tensor& x);

/// x + residual and its norm; see nn::add_rms_norm.
nn::NormedSum add_and_apply(const NormWeights& norm, const at::Tensor& x, const at::Tensor& residual);

}  // namespace cornstarch::models
