#pragma once

#include <ATen/core/Tensor.h>

#include "cornstarch/nn/dropout.h"
#include "cornstarch/nn/layers.h"

/// The kernels over tensors of a CUDA device, on the current stream; nothing is recorded for autograd. Inputs
/// are contiguous unless said otherwise. In a build without CUDA all of these throw Failure.
namespace cornstarch::nn::cuda {

/// y of NormForward, and what its backward needs besides x.
struct Normed {
  at::Tensor y;
  at::Tensor mean;  // undefined where the norm is not centered
  at::Tensor rstd;
};

/// With a residual, x becomes x + residual. Residual and bias may be undefined.
Normed norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight, const at::Tensor& bias,
            double eps, bool centered, double offset);

struct NormGrads {
  at::Tensor x, weight, bias;  // where asked for
};

/// `sum_grad`, what x gets besides, may be undefined.
NormGrads norm_backward(const at::Tensor& grad, const at::Tensor& sum_grad, const at::Tensor& x,
                        const at::Tensor& weight, double offset, const Normed& normed, bool x_needed,
                        bool weight_needed);

/// q [b, t, heads x head_dim] and k [b, t, kv_heads x head_dim] turned by the angles of position t, or back,
/// into q_out and k_out, which may be q and k. q and k may be columns of a wider product.
void rotate(const at::Tensor& q, const at::Tensor& k, const RopeTable& table, bool inverse,
            const at::Tensor& q_out, const at::Tensor& k_out);

/// activation(gate) * up; up may be undefined. gate and up may be columns of a wider product.
at::Tensor gated(catalog::Activation kind, const at::Tensor& gate, const at::Tensor& up);

struct GatedGradTensors {
  at::Tensor gate, up;
};
GatedGradTensors gated_backward(catalog::Activation kind, const at::Tensor& grad, const at::Tensor& gate,
                                const at::Tensor& up);

/// See nn::drop; elements are dropped whose word is below the threshold.
void drop(const at::Tensor& x, const Dropout& dropout, std::uint32_t threshold, const RowNames& names,
          const at::Tensor& out);

/// For each row of logits [n, columns]: own[0] its maximum, own[1] the sum of exp(logit - maximum), own[2]
/// the logit of column targets - first, 0 where there is none. own [3, n] is fp32, or fp64 for fp64.
void logit_statistics(const at::Tensor& logits, const at::Tensor& targets, std::int64_t first,
                      const at::Tensor& own);

/// logits = exp(logits - max) / sum - onehot(targets - first).
void logit_gradient(const at::Tensor& logits, const at::Tensor& targets, std::int64_t first,
                    const at::Tensor& max, const at::Tensor& sum);

}  // namespace cornstarch::nn::cuda
