#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "cornstarch/formats/safetensors.h"

namespace cornstarch::formats {

/// The numbers of a floating-point tensor; those of F64 are rounded.
std::vector<float> to_floats(DType dtype, std::span<const std::byte> bytes);

/// As the type has them, rounded to the nearest, half to even.
std::vector<std::byte> from_floats(DType dtype, std::span<const float> numbers);

}  // namespace cornstarch::formats
