#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "cornstarch/nn/device_types.h"

/// What device code of several kernels shares. Memory is read and written in packs of up to 16 bytes;
/// arithmetic is in fp32, or in fp64 for fp64.
namespace cornstarch::nn::cuda {

using bf16 = __nv_bfloat16;

template <typename T>
struct ComputeOf {
  using type = float;
};
template <>
struct ComputeOf<double> {
  using type = double;
};
template <typename T>
using Compute = typename ComputeOf<T>::type;

/// Elements of a 16-byte pack.
template <typename T>
constexpr int wide = 16 / sizeof(T);

template <int bytes>
struct BitsOf;
template <>
struct BitsOf<2> {
  using type = unsigned short;
};
template <>
struct BitsOf<4> {
  using type = unsigned int;
};
template <>
struct BitsOf<8> {
  using type = uint2;
};
template <>
struct BitsOf<16> {
  using type = uint4;
};

/// n neighbouring elements, moved by one instruction where their address is a multiple of their size.
template <typename T, int n>
union Pack {
  static constexpr int bytes = n * static_cast<int>(sizeof(T));
  using Bits = typename BitsOf<bytes >= 16 ? 16 : bytes>::type;
  static constexpr int words = bytes / static_cast<int>(sizeof(Bits));
  Bits bits[words];
  T values[n];

  __device__ Pack() {}
};

template <typename T, int n, typename C>
__device__ void load(const void* base, std::int64_t at, C (&out)[n]) {
  using P = Pack<T, n>;
  P pack;
  const auto* from = reinterpret_cast<const typename P::Bits*>(static_cast<const T*>(base) + at);
#pragma unroll
  for (int w = 0; w < P::words; ++w) pack.bits[w] = from[w];
#pragma unroll
  for (int i = 0; i < n; ++i) out[i] = static_cast<C>(pack.values[i]);
}

template <typename T, int n, typename C>
__device__ void store(void* base, std::int64_t at, const C (&in)[n]) {
  using P = Pack<T, n>;
  P pack;
#pragma unroll
  for (int i = 0; i < n; ++i) pack.values[i] = static_cast<T>(in[i]);
  auto* to = reinterpret_cast<typename P::Bits*>(static_cast<T*>(base) + at);
#pragma unroll
  for (int w = 0; w < P::words; ++w) to[w] = pack.bits[w];
}

constexpr int warp_size = 32;

template <typename C>
__device__ C warp_sum(C value) {
#pragma unroll
  for (int offset = warp_size / 2; offset > 0; offset /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, offset);
  return value;
}

/// Adds each of n values up over the block's threads (whole warps), in an order that is always the same;
/// every thread gets the sums.
template <int n, typename C>
__device__ void block_sum(C (&values)[n]) {
  __shared__ C parts[n][warp_size];
  const unsigned warp = threadIdx.x / warp_size, lane = threadIdx.x % warp_size;
  __syncthreads();  // the sums of the call before have been read
#pragma unroll
  for (int i = 0; i < n; ++i) {
    const C sum = warp_sum(values[i]);
    if (lane == 0) parts[i][warp] = sum;
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < n; ++i) values[i] = warp_sum(lane < blockDim.x / warp_size ? parts[i][lane] : C(0));
}

/// Whether all of these addresses (null counts) are multiples of 16 bytes.
template <typename... Pointers>
bool aligned(Pointers... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) | ...) & 15u) == 0;
}

inline int whole_warps(std::int64_t threads) {
  return static_cast<int>((threads + warp_size - 1) / warp_size * warp_size);
}

}  // namespace cornstarch::nn::cuda
