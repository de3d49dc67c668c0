#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cornstarch::models {

/// A shard as runs of consecutive elements of the global tensor.
struct Runs {
  std::int64_t length = 0;  ///< elements of each
  std::int64_t first = 0;   ///< global index of the first run's first element
  std::int64_t stride = 0;  ///< from one run's first element to the next one's
};

/// out [n], fp32 or fp64: `std` times the normal draws of `key` for elements begin, begin + 1, ... of the
/// shard. The same bits on the CPU and on a GPU.
void draw_normal(std::uint64_t key, const Runs& runs, std::int64_t begin, double std, const at::Tensor& out);

/// For an `out` on a GPU.
void draw_normal_on_gpu(std::uint64_t key, const Runs& runs, std::int64_t begin, double std,
                        const at::Tensor& out);

}  // namespace cornstarch::models
