#include <algorithm>

#include "cornstarch/base/normal_draw.h"
#include "cuda_draw_kernel.h"

namespace cornstarch::models::cuda {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMostBlocks = 1 << 16;

template <typename T>
__global__ void draw(NormalDraw args) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < args.size;
       i += step) {
    const std::int64_t at = args.begin + i;
    const std::int64_t index = args.first + at / args.length * args.stride + at % args.length;
    const auto pair = normal_pair(philox_block(args.key, static_cast<std::uint64_t>(index / 2)));
    static_cast<T*>(args.out)[i] = static_cast<T>(args.std * (index % 2 == 0 ? pair[0] : pair[1]));
  }
}

}  // namespace

void draw_normal(const NormalDraw& args, nn::cuda::Type type, nn::cuda::Stream stream) {
  const std::int64_t blocks = std::min(kMostBlocks, (args.size + kThreads - 1) / kThreads);
  if (blocks == 0) return;
  if (type == nn::cuda::Type::f64) {
    draw<double><<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(args);
  } else {
    draw<float><<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(args);
  }
}

}  // namespace cornstarch::models::cuda
