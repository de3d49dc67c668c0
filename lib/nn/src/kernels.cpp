#include "kernels.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "cornstarch/base/checked.h"

namespace cornstarch::nn::kernels {
namespace {

// Elements below which a loop is not worth a second thread.
constexpr std::int64_t grain = 16384;

std::int64_t grain_rows(std::int64_t size) {
  return std::max<std::int64_t>(1, grain / std::max<std::int64_t>(1, size));
}

template <typename T>
Wide<T> wide(T x) {
  return static_cast<Wide<T>>(x);
}

template <typename T>
void add(const T* x, std::int64_t size, T* sum) {
#pragma omp simd
  for (std::int64_t i = 0; i < size; ++i) sum[i] = static_cast<T>(wide(sum[i]) + wide(x[i]));
}

template <typename T>
Wide<T> sum_of_squares(const T* x, std::int64_t size) {
  Wide<T> sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < size; ++i) sum += wide(x[i]) * wide(x[i]);
  return sum;
}

// Of a, b and c + offset.
template <typename T>
Wide<T> sum_of_products(const T* a, const T* b, const T* c, Wide<T> offset, std::int64_t size) {
  Wide<T> sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < size; ++i) sum += wide(a[i]) * wide(b[i]) * (wide(c[i]) + offset);
  return sum;
}

template <typename T>
void rms_norm_row_backward(const T* grad, const T* x, const T* weight, Wide<T> offset, Wide<T> rstd,
                           std::int64_t size, T* x_grad) {
  const Wide<T> mean = sum_of_products(grad, x, weight, offset, size) / static_cast<Wide<T>>(size);
  const Wide<T> scale = rstd * rstd * rstd * mean;
#pragma omp simd
  for (std::int64_t i = 0; i < size; ++i)
    x_grad[i] = static_cast<T>(rstd * wide(grad[i]) * (wide(weight[i]) + offset) - scale * wide(x[i]));
}

template <typename T>
void add_weight_grad(const T* grad, const T* x, Wide<T> rstd, std::int64_t size, Wide<T>* weight_grad) {
#pragma omp simd
  for (std::int64_t i = 0; i < size; ++i) weight_grad[i] += rstd * wide(grad[i]) * wide(x[i]);
}

template <typename T>
void rotate_head(const T* x, const Wide<T>* cos, const Wide<T>* sin, std::int64_t half, Wide<T> sign,
                 T* out) {
#pragma omp simd
  for (std::int64_t i = 0; i < half; ++i) {
    const Wide<T> a = wide(x[i]);
    const Wide<T> b = wide(x[i + half]);
    out[i] = static_cast<T>(a * cos[i] - sign * b * sin[i]);
    out[i + half] = static_cast<T>(b * cos[i] + sign * a * sin[i]);
  }
}

}  // namespace

template <typename T>
void rms_norm(T* x, const T* residual, const T* weight, std::int64_t rows, std::int64_t size, double eps,
              double offset, T* y, Wide<T>* rstd) {
  at::parallel_for(0, rows, grain_rows(size), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      T* in = x + r * size;
      T* out = y + r * size;
      if (residual != nullptr) add(residual + r * size, size, in);
      using W = Wide<T>;
      const W scale = W(1) / std::sqrt(sum_of_squares(in, size) / static_cast<W>(size) + static_cast<W>(eps));
      rstd[r] = scale;
#pragma omp simd
      for (std::int64_t i = 0; i < size; ++i)
        out[i] = static_cast<T>((wide(weight[i]) + static_cast<W>(offset)) * (wide(in[i]) * scale));
    }
  });
}

template <typename T>
void rms_norm_backward(const T* grad, const T* x, const T* weight, const Wide<T>* rstd, std::int64_t rows,
                       std::int64_t size, double offset, T* x_grad, Wide<T>* weight_grad, int parts) {
  at::parallel_for(0, parts, 1, [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t part = first; part < last; ++part) {
      const Range mine = share(rows, parts, part);
      Wide<T>* sums = weight_grad == nullptr ? nullptr : weight_grad + part * size;
      if (sums != nullptr) std::fill(sums, sums + size, Wide<T>(0));
      for (std::int64_t r = mine.begin; r < mine.end; ++r) {
        const std::int64_t at = r * size;
        if (x_grad != nullptr)
          rms_norm_row_backward(grad + at, x + at, weight, static_cast<Wide<T>>(offset), rstd[r], size,
                                x_grad + at);
        if (sums != nullptr) add_weight_grad(grad + at, x + at, rstd[r], size, sums);
      }
    }
  });
}

template <typename T>
void rotate(const T* x, const Wide<T>* cos, const Wide<T>* sin, std::int64_t rows, std::int64_t length,
            std::int64_t heads, std::int64_t half, bool inverse, T* out) {
  const Wide<T> sign = inverse ? -1 : 1;
  at::parallel_for(0, rows, grain_rows(heads * half * 2), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t angle = (r % length) * half;
      for (std::int64_t h = 0; h < heads; ++h) {
        const std::int64_t at = (r * heads + h) * 2 * half;
        rotate_head(x + at, cos + angle, sin + angle, half, sign, out + at);
      }
    }
  });
}

template <typename T>
void swiglu_backward(const T* grad, const T* gate, const T* up, const Wide<T>* sigmoid, std::int64_t n,
                     T* gate_grad, T* up_grad) {
  at::parallel_for(0, n, grain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) {
      const Wide<T> s = sigmoid[i], x = wide(gate[i]), g = wide(grad[i]);
      gate_grad[i] = static_cast<T>(g * wide(up[i]) * s * (1 + x * (1 - s)));
      up_grad[i] = static_cast<T>(g * x * s);
    }
  });
}

template void rms_norm(float*, const float*, const float*, std::int64_t, std::int64_t, double, double, float*,
                       float*);
template void rms_norm_backward(const float*, const float*, const float*, const float*, std::int64_t,
                                std::int64_t, double, float*, float*, int);
template void rotate(const float*, const float*, const float*, std::int64_t, std::int64_t, std::int64_t,
                     std::int64_t, bool, float*);
template void swiglu_backward(const float*, const float*, const float*, const float*, std::int64_t, float*,
                              float*);
template void rms_norm(double*, const double*, const double*, std::int64_t, std::int64_t, double, double,
                       double*, double*);
template void rms_norm_backward(const double*, const double*, const double*, const double*, std::int64_t,
                                std::int64_t, double, double*, double*, int);
template void rotate(const double*, const double*, const double*, std::int64_t, std::int64_t, std::int64_t,
                     std::int64_t, bool, double*);
template void swiglu_backward(const double*, const double*, const double*, const double*, std::int64_t,
                              double*, double*);
template void rms_norm(c10::BFloat16*, const c10::BFloat16*, const c10::BFloat16*, std::int64_t, std::int64_t,
                       double, double, c10::BFloat16*, float*);
template void rms_norm_backward(const c10::BFloat16*, const c10::BFloat16*, const c10::BFloat16*,
                                const float*, std::int64_t, std::int64_t, double, c10::BFloat16*, float*,
                                int);
template void rotate(const c10::BFloat16*, const float*, const float*, std::int64_t, std::int64_t,
                     std::int64_t, std::int64_t, bool, c10::BFloat16*);
template void swiglu_backward(const c10::BFloat16*, const c10::BFloat16*, const c10::BFloat16*, const float*,
                              std::int64_t, c10::BFloat16*, c10::BFloat16*);

}  // namespace cornstarch::nn::kernels
