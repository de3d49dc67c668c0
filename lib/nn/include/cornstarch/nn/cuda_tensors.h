#pragma once

#include <ATen/core/Tensor.h>

#include "cornstarch/base/result.h"
#include "cornstarch/nn/device_types.h"

namespace cornstarch::nn::cuda {

/// The type as kernels name it. Throws Failure where they have none.
inline Type type_of(const at::Tensor& x) {
  switch (x.scalar_type()) {
    case at::kFloat:
      return Type::f32;
    case at::kBFloat16:
      return Type::bf16;
    case at::kDouble:
      return Type::f64;
    default:
      throw Failure(ExitCode::internal, std::string("no CUDA kernel for ") + c10::toString(x.scalar_type()));
  }
}

}  // namespace cornstarch::nn::cuda
