#pragma once

#include <cstdint>

#include "cornstarch/catalog/model_spec.h"
#include "cornstarch/nn/device_types.h"

/// The kernels, which know addresses and streams only. `type` is that of all pointers to void unless said
/// otherwise; statistics and the rotary tables ("wide") are fp32, or fp64 for fp64. Statistics are computed
/// in the same width. Tensors are contiguous unless they have a stride. Every result is the same in every
/// run.
namespace cornstarch::nn::cuda {

/// y = (s - mean) * rstd * weight + bias over rows [rows, size], with rstd = 1 / sqrt(mean((s - mean)^2) +
/// eps) and s = x, or x + residual, written to sum (which may be x). RMSNorm: not centered, the mean taken as
/// 0.
struct NormForward {
  const void* x;
  const void* residual;  // or null
  void* sum;             // where there is a residual
  const void* weight;
  const void* bias;  // or null
  void* y;
  void* mean;  // wide [rows]; centered
  void* rstd;  // wide [rows]
  std::int64_t rows, size;
  double eps, offset;  // the latter is added to the weight
  bool centered;
};
void norm_forward(const NormForward& args, Type type, Stream stream);

/// Gradients of norm_forward; x is s. Sums over rows are taken in `parts` shares (see norm_parts).
struct NormBackward {
  const void* grad;
  const void* sum_grad;  // what s gets besides, or null
  const void* x;
  const void* weight;
  const void* mean;
  const void* rstd;
  void* x_grad;        // or null
  void* weight_parts;  // wide [parts, size], or null
  void* bias_parts;    // the same; centered
  std::int64_t rows, size;
  int parts;
  double offset;
  bool centered;
};
void norm_backward(const NormBackward& args, Type type, Stream stream);

/// How many shares keep the device busy.
int norm_parts(std::int64_t rows, std::int64_t size);

/// out[i] of `type` = sum over r of wide parts[r, i].
void column_sums(const void* parts, int rows, std::int64_t size, void* out, Type type, Stream stream);

/// The longest row that the norms take.
constexpr std::int64_t norm_longest = 16384;

/// Turns the pairs (i, i + half) of each head of row r by the angles of position r % length, or back. q and k
/// have rows of their own strides; the results are contiguous and may be q and k.
struct Rotate {
  const void* q;
  const void* k;
  void* q_out;
  void* k_out;
  const void* cos;  // wide [length, half]
  const void* sin;
  std::int64_t rows, length, q_stride, k_stride;
  int q_heads, k_heads, half;
  bool inverse;
};
void rotate(const Rotate& args, Type type, Stream stream);

/// out = activation(gate) * up over [rows, size], without up where it is null; rows of gate and up have
/// strides.
struct Gated {
  catalog::Activation kind;
  const void* gate;
  const void* up;
  void* out;
  std::int64_t rows, size, gate_stride, up_stride;
};
void gated(const Gated& args, Type type, Stream stream);

/// Its gradients, contiguous; args.out is not looked at.
struct GatedGrads {
  const void* out;
  void* gate;
  void* up;
};
void gated_backward(const Gated& args, const GatedGrads& grads, Type type, Stream stream);

/// out [rows, size] = scale * x, or 0 where the word of the element (base/normal_draw.h) of row names[row]
/// and feature first + column is below the threshold. out may be x.
struct Drop {
  const void* x;
  void* out;
  const std::int64_t* names;
  std::int64_t rows, size, first;
  std::uint64_t key;
  std::uint32_t step, threshold;
  double scale;
};
void drop(const Drop& args, Type type, Stream stream);

/// For each row of logits [rows, columns], wide: the maximum, the sum of exp(logit - maximum), and the logit
/// of column targets[row] - first, 0 where that is none of these.
struct LogitStatistics {
  const void* logits;
  const std::int64_t* targets;
  void* max;
  void* sum;
  void* target;
  std::int64_t rows, columns, first;
};
void logit_statistics(const LogitStatistics& args, Type type, Stream stream);

/// logits = exp(logits - max) / sum - onehot(targets - first), in place; max and sum wide [rows], over all
/// columns of the vocabulary.
struct LogitGradient {
  void* logits;
  const std::int64_t* targets;
  const void* max;
  const void* sum;
  std::int64_t rows, columns, first;
};
void logit_gradient(const LogitGradient& args, Type type, Stream stream);

/// x [rows, columns] in bf16 times *scale, rounded to e4m3: `straight` as it lies, or null; `transposed`
/// [columns, padded_rows] with zeros behind, or null. *largest becomes the largest magnitude of it and of the
/// rows that are counted (null: all). columns and padded_rows are multiples of 16, and so are all addresses.
struct Fp8Cast {
  const void* x;
  const float* scale;
  float* largest;
  const bool* counted;
  void* straight;
  void* transposed;
  std::int64_t rows, columns, padded_rows;
};
void fp8_cast(const Fp8Cast& args, Stream stream);

}  // namespace cornstarch::nn::cuda
