#include <algorithm>

#include "cornstarch/base/normal_draw.h"
#include "cornstarch/nn/device.cuh"
#include "cuda_kernels.h"

// A thread takes four neighbouring features of a row, for which one block of the generator is enough.
namespace cornstarch::nn::cuda {
namespace {

constexpr int threads = 256;
constexpr std::int64_t most_blocks = 1 << 20;

template <typename T>
__global__ void __launch_bounds__(threads) drop(const Drop a) {
  using C = Compute<T>;
  const std::int64_t first_block = a.first / 4;
  const std::int64_t blocks = (a.first + a.size + 3) / 4 - first_block;  // of a row
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * threads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x; i < a.rows * blocks;
       i += step) {
    const std::int64_t row = i / blocks, block = first_block + i % blocks;
    const auto words = element_words(a.key, a.step, static_cast<std::uint64_t>(a.names[row]),
                                     static_cast<std::uint32_t>(block));
#pragma unroll
    for (int word = 0; word < 4; ++word) {
      const std::int64_t column = 4 * block + word - a.first;
      if (column < 0 || column >= a.size) continue;
      const std::int64_t at = row * a.size + column;
      const C x = static_cast<C>(static_cast<const T*>(a.x)[at]) * static_cast<C>(a.scale);
      static_cast<T*>(a.out)[at] = static_cast<T>(words[word] < a.threshold ? C(0) : x);
    }
  }
}

template <typename T>
void launch(const Drop& a, Stream stream) {
  const std::int64_t blocks = std::min(most_blocks, (a.rows * (a.size / 4 + 2) + threads - 1) / threads);
  drop<T><<<static_cast<unsigned>(blocks), threads, 0, stream>>>(a);
}

}  // namespace

void drop(const Drop& a, Type type, Stream stream) {
  if (type == Type::bf16) launch<bf16>(a, stream);
  if (type == Type::f32) launch<float>(a, stream);
  if (type == Type::f64) launch<double>(a, stream);
}

}  // namespace cornstarch::nn::cuda
