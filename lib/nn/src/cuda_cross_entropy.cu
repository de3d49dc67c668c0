#include <cfloat>

#include "cornstarch/nn/device.cuh"
#include "cuda_kernels.h"

// The statistics read the logits once (Milakov & Gimelshein, "Online normalizer calculation for softmax",
// 2018), the gradient reads and writes them once; no copy in fp32 is made.
namespace cornstarch::nn::cuda {
namespace {

constexpr int threads = 512;

// The largest of some logits and the sum of exp(logit - largest). Starts at a finite number: no difference of
// infinities.
template <typename C>
struct Softmax {
  C max = static_cast<C>(-FLT_MAX);
  C sum = 0;

  __device__ void add(const Softmax& other) {
    const C larger = max > other.max ? max : other.max;
    sum = sum * exp(max - larger) + other.sum * exp(other.max - larger);
    max = larger;
  }
};

template <typename C, int vec>
__device__ Softmax<C> softmax_of(const C (&x)[vec]) {
  Softmax<C> pack;
#pragma unroll
  for (int i = 0; i < vec; ++i) pack.max = x[i] > pack.max ? x[i] : pack.max;
#pragma unroll
  for (int i = 0; i < vec; ++i) pack.sum += exp(x[i] - pack.max);
  return pack;
}

template <typename C>
__device__ Softmax<C> over_warp(Softmax<C> mine) {
#pragma unroll
  for (int offset = warp_size / 2; offset > 0; offset /= 2) {
    mine.add(
        {__shfl_xor_sync(0xffffffffu, mine.max, offset), __shfl_xor_sync(0xffffffffu, mine.sum, offset)});
  }
  return mine;
}

template <typename T, int vec>
__global__ void __launch_bounds__(threads) statistics(const LogitStatistics a) {
  using C = Compute<T>;
  constexpr int warps = threads / warp_size;
  __shared__ C maxima[warps], sums[warps];
  const std::int64_t row = blockIdx.x, start = row * a.columns;
  Softmax<C> mine;
  for (std::int64_t column = std::int64_t{threadIdx.x} * vec; column < a.columns; column += threads * vec) {
    C x[vec];
    load<T>(a.logits, start + column, x);
    mine.add(softmax_of(x));
  }
  mine = over_warp(mine);
  const unsigned warp = threadIdx.x / warp_size, lane = threadIdx.x % warp_size;
  if (lane == 0) {
    maxima[warp] = mine.max;
    sums[warp] = mine.sum;
  }
  __syncthreads();
  if (warp != 0) return;
  mine = over_warp(lane < warps ? Softmax<C>{maxima[lane], sums[lane]} : Softmax<C>{});
  if (lane != 0) return;
  const std::int64_t target = a.targets[row] - a.first;
  const bool here = target >= 0 && target < a.columns;
  static_cast<C*>(a.max)[row] = mine.max;
  static_cast<C*>(a.sum)[row] = mine.sum;
  static_cast<C*>(a.target)[row] =
      here ? static_cast<C>(static_cast<const T*>(a.logits)[start + target]) : C(0);
}

template <typename T, int vec>
__global__ void __launch_bounds__(threads) gradient(const LogitGradient a) {
  using C = Compute<T>;
  const std::int64_t row = blockIdx.x, start = row * a.columns;
  const std::int64_t target = a.targets[row] - a.first;
  const C max = static_cast<const C*>(a.max)[row];
  const C scale = C(1) / static_cast<const C*>(a.sum)[row];
  for (std::int64_t column = std::int64_t{threadIdx.x} * vec; column < a.columns; column += threads * vec) {
    C x[vec];
    load<T>(a.logits, start + column, x);
#pragma unroll
    for (int i = 0; i < vec; ++i) {
      x[i] = exp(x[i] - max) * scale;
      if (column + i == target) x[i] -= C(1);
    }
    store<T>(a.logits, start + column, x);
  }
}

// Calls launch<T, vec>().
template <typename T, typename Launch>
void with_vector(const void* logits, std::int64_t columns, const Launch& launch) {
  if (aligned(logits) && columns % wide<T> == 0) {
    launch.template operator()<T, wide<T>>();
  } else {
    launch.template operator()<T, 1>();
  }
}

template <typename Launch>
void with_vector(Type type, const void* logits, std::int64_t columns, const Launch& launch) {
  if (type == Type::bf16) with_vector<bf16>(logits, columns, launch);
  if (type == Type::f32) with_vector<float>(logits, columns, launch);
  if (type == Type::f64) with_vector<double>(logits, columns, launch);
}

}  // namespace

void logit_statistics(const LogitStatistics& a, Type type, Stream stream) {
  with_vector(type, a.logits, a.columns, [&]<typename T, int vec>() {
    statistics<T, vec><<<static_cast<unsigned>(a.rows), threads, 0, stream>>>(a);
  });
}

void logit_gradient(const LogitGradient& a, Type type, Stream stream) {
  with_vector(type, a.logits, a.columns, [&]<typename T, int vec>() {
    gradient<T, vec><<<static_cast<unsigned>(a.rows), threads, 0, stream>>>(a);
  });
}

}  // namespace cornstarch::nn::cuda
