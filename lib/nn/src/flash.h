#pragma once

#include <ATen/core/Tensor.h>

#include <array>

/// ATen's attention kernels, with the log-sum-exp that lets their results be merged.
namespace cornstarch::nn {

/// Attention of batches of queries: out [b, n, heads, d] and lse [b, n, heads], the logarithm of the
/// softmax's denominator in fp32 or wider.
struct Attended {
  at::Tensor out;
  at::Tensor lse;
};

/// q [b, n, heads, d], k and v [b, m, kv_heads, d], of any strides but the last, which is 1. `causal`: needs
/// n = m. With a `softcap`, scores s become softcap tanh(s / softcap), which no kernel of ATen's knows: by
/// matrix products.
Attended flash_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal,
                       double softcap = 0);

/// The gradients of q, k and v through these keys, given the gradient, output and log-sum-exp over all keys:
/// the softmax is recomputed from the latter (Dao, FlashAttention-2, 2023).
std::array<at::Tensor, 3> flash_backward(const at::Tensor& grad, const at::Tensor& q, const at::Tensor& k,
                                         const at::Tensor& v, const Attended& all, bool causal,
                                         double softcap = 0);

/// Has ATen try its kernels for a GPU in the order of their speed. Forward and backward of causal bf16
/// attention with heads of 64 on an H200: cuDNN 391 TFLOP/s, flash-attention 240.
void prefer_fastest_attention();

}  // namespace cornstarch::nn
