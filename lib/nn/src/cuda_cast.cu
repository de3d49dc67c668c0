#include <cuda_fp8.h>

#include "cornstarch/nn/device.cuh"
#include "cuda_kernels.h"

// A block takes a tile of 128 rows and 64 columns, a thread 4 rows and 8 columns of it. Forms [n, k] are
// written straight away; the transposed one goes through shared memory as words of 4 rows, those of each 8
// columns turned by 4 words, so that threads of a warp never meet in a bank.
namespace cornstarch::nn::cuda {
namespace {

constexpr int threads = 256, tile_rows = 128, tile_columns = 64;
constexpr int own_rows = 4, own_columns = 8, words = tile_rows / own_rows;

__device__ unsigned pair(float a, float b) {
  return __nv_cvt_float2_to_fp8x2(make_float2(a, b), __NV_SATFINITE, __NV_E4M3);
}

// Of the step's largest magnitudes the largest: numbers that are not negative order as their bits do.
__device__ void note(float value, float* largest) {
  __shared__ float parts[threads / warp_size];
#pragma unroll
  for (int offset = warp_size / 2; offset > 0; offset /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, offset));
  if (threadIdx.x % warp_size == 0) parts[threadIdx.x / warp_size] = value;
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (int i = 1; i < threads / warp_size; ++i) value = fmaxf(value, parts[i]);
  if (value > *static_cast<volatile float*>(largest))
    atomicMax(reinterpret_cast<int*>(largest), __float_as_int(value));
}

__global__ __launch_bounds__(threads) void cast(const Fp8Cast a) {
  __shared__ __align__(16) unsigned turned[tile_columns * words];
  const int chunk = threadIdx.x % (tile_columns / own_columns),
            group = threadIdx.x / (tile_columns / own_columns);
  const std::int64_t first_row = std::int64_t{blockIdx.y} * tile_rows,
                     first_column = std::int64_t{blockIdx.x} * tile_columns;
  const std::int64_t column = first_column + chunk * own_columns;
  const float scale = *a.scale;
  float most = 0;
  unsigned bytes[own_columns] = {};  // of 4 rows each
#pragma unroll
  for (int r = 0; r < own_rows; ++r) {
    const std::int64_t row = first_row + group * own_rows + r;
    if (row >= a.rows || column >= a.columns) continue;
    float x[own_columns];
    load<bf16, own_columns>(a.x, row * a.columns + column, x);
    const bool counts = a.counted == nullptr || a.counted[row];
    unsigned pairs[own_columns / 2];
#pragma unroll
    for (int i = 0; i < own_columns; ++i)
      if (counts) most = fmaxf(most, fabsf(x[i]));
#pragma unroll
    for (int i = 0; i < own_columns / 2; ++i) {
      pairs[i] = pair(x[2 * i] * scale, x[2 * i + 1] * scale);
      bytes[2 * i] |= (pairs[i] & 0xffu) << (8 * r);
      bytes[2 * i + 1] |= (pairs[i] >> 8) << (8 * r);
    }
    if (a.straight != nullptr)
      *reinterpret_cast<uint2*>(static_cast<unsigned char*>(a.straight) + row * a.columns + column) =
          make_uint2(pairs[0] | pairs[1] << 16, pairs[2] | pairs[3] << 16);
  }
  note(most, a.largest);
  if (a.transposed == nullptr) return;
#pragma unroll
  for (int i = 0; i < own_columns; ++i)
    turned[(chunk * own_columns + i) * words + (group + own_rows * chunk) % words] = bytes[i];
  __syncthreads();
  constexpr int quads = words / 4;  // of 16 rows
  for (int i = threadIdx.x; i < tile_columns * quads; i += threads) {
    const int of_tile = i / quads, quad = i % quads;
    const std::int64_t to_column = first_column + of_tile, to_row = first_row + quad * 16;
    if (to_column >= a.columns || to_row >= a.padded_rows) continue;
    const int word = (quad * 4 + own_rows * (of_tile / own_columns)) % words;
    *reinterpret_cast<uint4*>(static_cast<unsigned char*>(a.transposed) + to_column * a.padded_rows +
                              to_row) = *reinterpret_cast<const uint4*>(&turned[of_tile * words + word]);
  }
}

}  // namespace

void fp8_cast(const Fp8Cast& args, Stream stream) {
  const auto blocks = [](std::int64_t size, int tile) {
    return static_cast<unsigned>((size + tile - 1) / tile);
  };
  const dim3 grid(blocks(args.columns, tile_columns), blocks(args.rows, tile_rows));
  cast<<<grid, threads, 0, stream>>>(args);
}

}  // namespace cornstarch::nn::cuda
