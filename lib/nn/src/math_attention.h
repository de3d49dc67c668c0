#pragma once

#include <cstdint>

#include "flash.h"

/// Attention by matrix products, for what no fused kernel takes: on GPUs fp32, fp64 and unusual heads;
/// soft-caps. Same arguments and results as flash_forward() and flash_backward(); some queries at a time, so
/// that scores take bounded memory.
namespace cornstarch::nn {

/// Scores that are held at a time.
inline constexpr std::int64_t kScores = std::int64_t{1} << 26;

Attended math_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal,
                      double softcap = 0, std::int64_t max_scores = kScores);

std::array<at::Tensor, 3> math_backward(const at::Tensor& grad, const at::Tensor& q, const at::Tensor& k,
                                        const at::Tensor& v, const Attended& all, bool causal,
                                        double softcap = 0, std::int64_t max_scores = kScores);

}  // namespace cornstarch::nn
