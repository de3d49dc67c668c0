#pragma once

#include <c10/core/ScalarType.h>

#include <optional>

#include "cornstarch/formats/safetensors.h"

namespace cornstarch::models {

/// A file's floating-point type as ATen's; nothing for other types.
std::optional<at::ScalarType> scalar_type(formats::DType dtype);

/// A floating-point type of ATen's as a file has it; any other is a mistake of the caller (Failure).
formats::DType file_type(at::ScalarType type);

}  // namespace cornstarch::models
