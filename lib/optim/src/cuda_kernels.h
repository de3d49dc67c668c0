#pragma once

#include <cstdint>

#include "cornstarch/nn/device_types.h"

/// The kernels, which know addresses and streams only. A segment's addresses are those of its first elements.
namespace cornstarch::optim::cuda {

using nn::cuda::Stream;
using nn::cuda::Type;

/// As many segments as the parameters of a launch hold (they may take 32,764 bytes since CUDA 12.1, on sm_70
/// and later): no table has to be kept on the device or copied there.
constexpr int most_segments = 400;

/// Elements that a block takes of a segment.
constexpr std::int64_t block_elements = 4096;

struct Segment {
  void* value;  // null: the master is the value
  void* master;
  const void* gradient;
  void* first;
  void* second;
  std::int64_t size;
  std::int64_t first_block;  // the sum of the sizes before, in blocks
  double weight_decay;
};

struct Table {
  Segment segments[most_segments];
  int count = 0;
  std::int64_t blocks = 0;
};

/// Types: of value, master (and moments), gradient.
struct Adamw {
  double lr, beta1, beta2, eps;
  double log_beta1, log_beta2;
  const float* steps;
  const float* scale;  // or null
  const float* skip;   // or null
};
void adamw(const Table& table, const Adamw& args, Type value, Type master, Type gradient, Stream stream);

/// partials[block] = the sum of squares of the block's elements of the gradients.
void squared_norms(const Table& table, double* partials, Type gradient, Stream stream);

/// out = the sum of partials.
void sum(const double* partials, std::int64_t count, double* out, Stream stream);

}  // namespace cornstarch::optim::cuda
