#include "cornstarch/models/dtypes.h"

#include "cornstarch/base/text.h"

namespace cornstarch::models {

using formats::DType;

std::optional<at::ScalarType> scalar_type(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return at::kDouble;
    case DType::f32:
      return at::kFloat;
    case DType::f16:
      return at::kHalf;
    case DType::bf16:
      return at::kBFloat16;
    default:
      return std::nullopt;
  }
}

DType file_type(at::ScalarType type) {
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16})
    if (scalar_type(dtype) == type) return dtype;
  throw Failure(ExitCode::internal, cat("cannot save a tensor of type ", at::toString(type)));
}

}  // namespace cornstarch::models
