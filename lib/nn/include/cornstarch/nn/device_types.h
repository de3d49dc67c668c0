#pragma once

struct CUstream_st;

/// What C++ and device code say to each other about tensors, without ATen and without CUDA's headers.
namespace cornstarch::nn::cuda {

using Stream = CUstream_st*;

enum class Type { f32, bf16, f64 };

}  // namespace cornstarch::nn::cuda
