#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>
#include <type_traits>

/// Loops over rows for which ATen's CPU library has no fused operation. Instantiated for float, double and
/// bfloat16, which is computed in float; spread over ATen's threads.
namespace cornstarch::nn::kernels {

template <typename T>
using Wide = std::conditional_t<std::is_same_v<T, c10::BFloat16>, float, T>;

/// y = x * rstd * (weight + offset) over rows [rows, size], with rstd [rows] = 1 / sqrt(mean(x^2) + eps). A
/// residual, unless null, is added to x before.
template <typename T>
void rms_norm(T* x, const T* residual, const T* weight, std::int64_t rows, std::int64_t size, double eps,
              double offset, T* y, Wide<T>* rstd);

/// Gradients of rms_norm; either pointer may be null. weight_grad has `parts` rows [parts, size], to be
/// summed up; rows are dealt to parts in contiguous shares.
template <typename T>
void rms_norm_backward(const T* grad, const T* x, const T* weight, const Wide<T>* rstd, std::int64_t rows,
                       std::int64_t size, double offset, T* x_grad, Wide<T>* weight_grad, int parts);

/// Rotates the pairs (i, i + half) of each head of rows [rows, heads, 2 x half], row r by the angles of
/// position r % length, or back if `inverse`. out may be x.
template <typename T>
void rotate(const T* x, const Wide<T>* cos, const Wide<T>* sin, std::int64_t rows, std::int64_t length,
            std::int64_t heads, std::int64_t half, bool inverse, T* out);

/// Gradients of silu(gate) * up, given sigmoid(gate), which up_grad may overwrite.
template <typename T>
void swiglu_backward(const T* grad, const T* gate, const T* up, const Wide<T>* sigmoid, std::int64_t n,
                     T* gate_grad, T* up_grad);

}  // namespace cornstarch::nn::kernels
