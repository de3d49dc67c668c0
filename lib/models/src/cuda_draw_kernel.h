#pragma once

#include <cstdint>

#include "cornstarch/nn/device_types.h"

namespace cornstarch::models::cuda {

/// See models::draw_normal.
struct NormalDraw {
  void* out;
  std::int64_t size;
  std::uint64_t key;
  std::int64_t begin;
  std::int64_t length, first, stride;  // of runs
  double std;
};
void draw_normal(const NormalDraw& args, nn::cuda::Type type, nn::cuda::Stream stream);

}  // namespace cornstarch::models::cuda
