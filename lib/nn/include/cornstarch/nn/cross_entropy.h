#pragma once

#include <ATen/core/Tensor.h>

#include "cornstarch/comm/communicator.h"
#include "cornstarch/nn/linear.h"

namespace cornstarch::nn {

/// Memory for logits.
inline constexpr std::int64_t kLogitBytes = std::int64_t{512} << 20;

/// The sum over rows of the cross-entropy of targets [n] under logits = hidden [n, h] x table^T, for a table
/// [vocab, h] of which this rank holds the layer's weight = table[first:]; hidden is the same on every rank
/// of tp; with a `softcap`, under softcap tanh(logits / softcap). A scalar in fp32 or wider, the same on
/// every rank. The logits live a few rows at a time, in `chunk_bytes`. A loss is where backward starts, so
/// the gradients are computed with them and only scaled in backward, which runs once (Hsu et al. 2024, "Liger
/// Kernel").
at::Tensor linear_cross_entropy(const at::Tensor& hidden, const Linear& layer, const at::Tensor& targets,
                                std::int64_t first, std::int64_t vocab, const comm::GroupPtr& tp,
                                std::int64_t chunk_bytes = kLogitBytes, double softcap = 0);

}  // namespace cornstarch::nn
