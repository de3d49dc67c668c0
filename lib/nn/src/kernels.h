#pragma once

#include <cstdint>

/// Loops over rows for which ATen's CPU library has no fused operation. Instantiated for float and double;
/// spread over ATen's threads.
namespace cornstarch::nn::kernels {

/// y = x * rstd * weight over rows [rows, size], with rstd [rows] = 1 / sqrt(mean(x^2) + eps).
template <typename T>
void rms_norm(const T* x, const T* weight, std::int64_t rows, std::int64_t size, double eps, T* y, T* rstd);

/// Gradients of rms_norm; either pointer may be null. weight_grad has `parts` rows [parts, size], to be
/// summed up; rows are dealt to parts in contiguous shares.
template <typename T>
void rms_norm_backward(const T* grad, const T* x, const T* weight, const T* rstd, std::int64_t rows,
                       std::int64_t size, T* x_grad, T* weight_grad, int parts);

/// Rotates the pairs (i, i + half) of each head of rows [rows, heads, 2 x half], row r by the angles of
/// position r % length, or back if `inverse`. out may be x.
template <typename T>
void rotate(const T* x, const T* cos, const T* sin, std::int64_t rows, std::int64_t length,
            std::int64_t heads, std::int64_t half, bool inverse, T* out);

/// Gradients of silu(gate) * up, given sigmoid(gate) in up_grad, which is overwritten.
template <typename T>
void swiglu_backward(const T* grad, const T* gate, const T* up, std::int64_t n, T* gate_grad, T* up_grad);

}  // namespace cornstarch::nn::kernels
