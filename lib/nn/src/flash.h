#pragma once

#include <ATen/core/Tensor.h>

#include <array>

/// ATen's flash attention kernels, with the log-sum-exp that lets their results be merged.
namespace cornstarch::nn {

/// Attention of batches of queries: out [b, n, heads, d] and lse [b, n, heads], the logarithm of the
/// softmax's denominator in fp32 or wider.
struct Attended {
  at::Tensor out;
  at::Tensor lse;
};

/// q [b, n, heads, d], k and v [b, m, kv_heads, d], of any strides but the last, which is 1. `causal`: needs
/// n = m.
Attended flash_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal);

/// The gradients of q, k and v through these keys, given the gradient, output and log-sum-exp over all keys:
/// the softmax is recomputed from the latter (Dao, FlashAttention-2, 2023).
std::array<at::Tensor, 3> flash_backward(const at::Tensor& grad, const at::Tensor& q, const at::Tensor& k,
                                         const at::Tensor& v, const Attended& all, bool causal);

}  // namespace cornstarch::nn
