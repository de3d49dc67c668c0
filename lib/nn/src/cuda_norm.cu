#include <cuda_runtime_api.h>

#include <algorithm>

#include "cornstarch/nn/device.cuh"
#include "cuda_kernels.h"

// A block takes a row and keeps it in registers between the statistics and the result, so that memory is read
// and written once: forward 2 (with a residual: 4), backward 3 (4) elements of traffic per element of x.
namespace cornstarch::nn::cuda {
namespace {

constexpr int most_threads = 1024;

// Column of the first element of this thread's pack k.
template <int vec>
__device__ int column_of(int k) {
  return (k * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x)) * vec;
}

template <typename T, int vec, int packs, bool centered>
__global__ void __launch_bounds__(most_threads) forward(const NormForward a) {
  using C = Compute<T>;
  const std::int64_t row = blockIdx.x, start = row * a.size;
  C x[packs][vec];
  C sums[1] = {0};
#pragma unroll
  for (int k = 0; k < packs; ++k) {
    const int column = column_of<vec>(k);
    if (column >= a.size) continue;
    load<T>(a.x, start + column, x[k]);
    if (a.residual != nullptr) {
      C residual[vec];
      load<T>(a.residual, start + column, residual);
      // The norm is that of the sum as it is stored, which is what backward sees.
#pragma unroll
      for (int i = 0; i < vec; ++i) x[k][i] = static_cast<C>(static_cast<T>(x[k][i] + residual[i]));
      store<T>(a.sum, start + column, x[k]);
    }
#pragma unroll
    for (int i = 0; i < vec; ++i) sums[0] += centered ? x[k][i] : x[k][i] * x[k][i];
  }
  block_sum(sums);
  C mean = 0;
  if constexpr (centered) {
    mean = sums[0] / static_cast<C>(a.size);
    sums[0] = 0;
#pragma unroll
    for (int k = 0; k < packs; ++k) {
      if (column_of<vec>(k) >= a.size) continue;
#pragma unroll
      for (int i = 0; i < vec; ++i) sums[0] += (x[k][i] - mean) * (x[k][i] - mean);
    }
    block_sum(sums);
  }
  const C rstd = C(1) / sqrt(sums[0] / static_cast<C>(a.size) + static_cast<C>(a.eps));
  if (threadIdx.x == 0) {
    static_cast<C*>(a.rstd)[row] = rstd;
    if constexpr (centered) static_cast<C*>(a.mean)[row] = mean;
  }
#pragma unroll
  for (int k = 0; k < packs; ++k) {
    const int column = column_of<vec>(k);
    if (column >= a.size) continue;
    C weight[vec], bias[vec] = {};
    load<T>(a.weight, column, weight);
    if (a.bias != nullptr) load<T>(a.bias, column, bias);
#pragma unroll
    for (int i = 0; i < vec; ++i)
      x[k][i] = (x[k][i] - mean) * rstd * (weight[i] + static_cast<C>(a.offset)) + bias[i];
    store<T>(a.y, start + column, x[k]);
  }
}

// With g = grad * weight and n = (x - mean) * rstd: x_grad = rstd * (g - n mean(g n) - mean(g)), the last
// term only if centered. A block takes every parts-th row and adds up its share of grad * n and grad.
template <typename T, int vec, int packs, bool centered>
__global__ void __launch_bounds__(most_threads) backward(const NormBackward a) {
  using C = Compute<T>;
  C weight_sums[packs][vec] = {}, bias_sums[centered ? packs : 1][vec] = {};
  for (std::int64_t row = blockIdx.x; row < a.rows; row += gridDim.x) {
    const std::int64_t start = row * a.size;
    const C rstd = static_cast<const C*>(a.rstd)[row];
    const C mean = centered ? static_cast<const C*>(a.mean)[row] : C(0);
    C g[packs][vec], n[packs][vec];
    C sums[centered ? 2 : 1] = {};
#pragma unroll
    for (int k = 0; k < packs; ++k) {
      const int column = column_of<vec>(k);
      if (column >= a.size) continue;
      C weight[vec];
      load<T>(a.grad, start + column, g[k]);
      load<T>(a.x, start + column, n[k]);
      load<T>(a.weight, column, weight);
#pragma unroll
      for (int i = 0; i < vec; ++i) {
        n[k][i] = (n[k][i] - mean) * rstd;
        weight_sums[k][i] += g[k][i] * n[k][i];
        if constexpr (centered) bias_sums[k][i] += g[k][i];
        g[k][i] *= weight[i] + static_cast<C>(a.offset);
        sums[0] += g[k][i] * n[k][i];
        if constexpr (centered) sums[1] += g[k][i];
      }
    }
    block_sum(sums);
    if (a.x_grad == nullptr) continue;
    const C along = sums[0] / static_cast<C>(a.size);
    const C level = centered ? sums[centered ? 1 : 0] / static_cast<C>(a.size) : C(0);
#pragma unroll
    for (int k = 0; k < packs; ++k) {
      const int column = column_of<vec>(k);
      if (column >= a.size) continue;
      C besides[vec] = {};
      if (a.sum_grad != nullptr) load<T>(a.sum_grad, start + column, besides);
#pragma unroll
      for (int i = 0; i < vec; ++i) g[k][i] = rstd * (g[k][i] - n[k][i] * along - level) + besides[i];
      store<T>(a.x_grad, start + column, g[k]);
    }
  }
#pragma unroll
  for (int k = 0; k < packs; ++k) {
    const int column = column_of<vec>(k);
    if (column >= a.size) continue;
    const std::int64_t at = blockIdx.x * a.size + column;
    if (a.weight_parts != nullptr) store<C>(a.weight_parts, at, weight_sums[k]);
    if constexpr (centered) {
      if (a.bias_parts != nullptr) store<C>(a.bias_parts, at, bias_sums[k]);
    }
  }
}

// A block takes 32 columns, neighbouring threads neighbouring columns.
template <typename T>
__global__ void sum_columns(const void* parts, int rows, std::int64_t size, void* out) {
  using C = Compute<T>;
  __shared__ C sums[warp_size][warp_size + 1];
  const std::int64_t column = std::int64_t{blockIdx.x} * warp_size + threadIdx.x;
  C sum = 0;
  if (column < size) {
    for (int r = threadIdx.y; r < rows; r += warp_size)
      sum += static_cast<const C*>(parts)[r * size + column];
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  const C total = warp_sum(sums[threadIdx.x][threadIdx.y]);
  const std::int64_t mine = std::int64_t{blockIdx.x} * warp_size + threadIdx.y;
  if (threadIdx.x == 0 && mine < size) static_cast<T*>(out)[mine] = static_cast<T>(total);
}

// Calls launch<T, vec, packs>(threads) with the shape of a block for rows of this size: one pack per thread
// as far as that goes, single elements where rows do not start at multiples of 16 bytes.
template <typename T, typename Launch>
void with_block(std::int64_t size, bool wide_rows, const Launch& launch) {
  constexpr int vec = wide<T>;
  const auto threads = [size](int per_thread) { return whole_warps((size + per_thread - 1) / per_thread); };
  if (!wide_rows || size % vec != 0) return launch.template operator()<T, 1, 16>(threads(16));
  if (threads(vec) <= most_threads) return launch.template operator()<T, vec, 1>(threads(vec));
  launch.template operator()<T, vec, 4>(threads(4 * vec));
}

template <typename Launch>
void with_block(Type type, std::int64_t size, bool wide_rows, const Launch& launch) {
  if (type == Type::bf16) with_block<bf16>(size, wide_rows, launch);
  if (type == Type::f32) with_block<float>(size, wide_rows, launch);
  if (type == Type::f64) launch.template operator()<double, 1, 16>(whole_warps((size + 15) / 16));
}

}  // namespace

void norm_forward(const NormForward& a, Type type, Stream stream) {
  const bool wide_rows = aligned(a.x, a.residual, a.sum, a.weight, a.bias, a.y);
  const auto rows = static_cast<unsigned>(a.rows);
  with_block(type, a.size, wide_rows, [&]<typename T, int vec, int packs>(int threads) {
    if (a.centered) {
      forward<T, vec, packs, true><<<rows, threads, 0, stream>>>(a);
    } else {
      forward<T, vec, packs, false><<<rows, threads, 0, stream>>>(a);
    }
  });
}

void norm_backward(const NormBackward& a, Type type, Stream stream) {
  const bool wide_rows = aligned(a.grad, a.sum_grad, a.x, a.weight, a.x_grad, a.weight_parts, a.bias_parts);
  with_block(type, a.size, wide_rows, [&]<typename T, int vec, int packs>(int threads) {
    if (a.centered) {
      backward<T, vec, packs, true><<<a.parts, threads, 0, stream>>>(a);
    } else {
      backward<T, vec, packs, false><<<a.parts, threads, 0, stream>>>(a);
    }
  });
}

int norm_parts(std::int64_t rows, std::int64_t size) {
  int device = 0, processors = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  const std::int64_t blocks = std::clamp<std::int64_t>(8192 / size, 1, 8);
  return static_cast<int>(std::min(rows, processors * blocks));
}

void column_sums(const void* parts, int rows, std::int64_t size, void* out, Type type, Stream stream) {
  const dim3 threads(warp_size, warp_size);
  const auto blocks = static_cast<unsigned>((size + warp_size - 1) / warp_size);
  if (type == Type::bf16) sum_columns<bf16><<<blocks, threads, 0, stream>>>(parts, rows, size, out);
  if (type == Type::f32) sum_columns<float><<<blocks, threads, 0, stream>>>(parts, rows, size, out);
  if (type == Type::f64) sum_columns<double><<<blocks, threads, 0, stream>>>(parts, rows, size, out);
}

}  // namespace cornstarch::nn::cuda
