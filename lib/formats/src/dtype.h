#pragma once

#include <optional>
#include <string>

#include "cornstarch/formats/safetensors.h"

namespace cornstarch::formats {

/// Nothing if this program does not read it.
std::optional<DType> parse_dtype(const std::string& name);

/// Every name that parse_dtype knows, for an error text.
std::string dtype_names();

/// Where tensors of this dtype stand in a file as safetensors writes it: lower ones first.
int write_rank(DType dtype);

}  // namespace cornstarch::formats
