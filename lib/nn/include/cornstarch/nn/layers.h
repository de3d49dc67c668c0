#pragma once

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include "cornstarch/catalog/model_spec.h"

/// Single-rank building blocks, written to leave no more intermediate tensors behind than backward needs.
namespace cornstarch::nn {

/// x * rsqrt(mean(x^2) + eps) * (weight + offset) over the last dimension, in one pass forward and one
/// backward.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, double offset = 0);
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps);

/// The sum of a branch and the residual stream beside it, and the norm of the sum.
struct NormedSum {
  at::Tensor sum;
  at::Tensor normed;
};

/// {x + residual, its norm} in one pass. The sum takes the memory of x, which must be the result of an
/// operation that does not need it again (linear).
NormedSum add_rms_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight, double eps,
                       double offset = 0);
NormedSum add_layer_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                         const at::Tensor& bias, double eps);

at::Tensor activation(catalog::Activation kind, const at::Tensor& x);

/// activation(gate) * up.
at::Tensor gated(catalog::Activation kind, const at::Tensor& gate, const at::Tensor& up);

/// Cosines and sines of the rotary embedding [length, head_dim / 2], computed in fp32 as transformers does;
/// in the activations' type, or fp32 where that is narrower.
struct RopeTable {
  at::Tensor cos;
  at::Tensor sin;
};

/// Of tokens in a list: the row of each, and how long the samples of the rows are.
struct RowLengths {
  at::Tensor rows = {};  ///< [n] int64
  std::vector<std::int64_t> lengths = {};
};

/// The tables of one RopeSpec, kept for the longest sequence seen so far.
class Rope {
 public:
  Rope(const catalog::RopeSpec& spec, std::int64_t head_dim);
  RopeTable table(std::int64_t length, at::TensorOptions activations);  ///< on their device
  /// The rows of the table at `positions` [n] int64, or [3, n] where they have parts, which are smaller than
  /// `length`. Where frequencies depend on the lengths of samples, those of each token's own; without `rows`,
  /// none is beyond the original length.
  RopeTable table_at(const at::Tensor& positions, std::int64_t length, const RowLengths& rows,
                     at::TensorOptions activations);

 private:
  at::Tensor by_frequency(const at::Tensor& positions) const;

  catalog::RopeSpec spec_;
  std::int64_t head_dim_;
  RopeTable longest_;
  at::Tensor last_positions_;  // every layer asks for the same
  RopeTable last_;
};

/// Turns the pairs (i, i + head_dim / 2) of every head of q [b, t, heads x head_dim] and k [b, t, kv_heads x
/// head_dim] by the angles of position t. Overwrites both, which must be the results of operations that do
/// not need them again (linear).
std::pair<at::Tensor, at::Tensor> rotate(const at::Tensor& q, const at::Tensor& k, const RopeTable& table);

/// softmax(q k^T / sqrt(head_dim)) v for q [b, t, heads x head_dim] and k, v [b, t, kv_heads x head_dim],
/// where heads is a multiple of kv_heads. With a `softcap`, scores s become softcap tanh(s / softcap) before
/// the softmax. Returns [b, t, heads x head_dim].
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t head_dim,
                     bool causal, double softcap = 0);

}  // namespace cornstarch::nn
