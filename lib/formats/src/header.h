#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "cornstarch/formats/safetensors.h"

namespace cornstarch::formats {

/// The tensors of a safetensors header (the JSON text), every promise of the format checked against
/// `data_size` bytes of data behind it. Errors do not name the file.
Result<std::map<std::string, TensorEntry>> parse_header(std::string_view json, std::uint64_t data_size);

/// A name from an untrusted file, fit for a message: quoted, cut where long, control characters replaced.
std::string printable(const std::string& name);

}  // namespace cornstarch::formats
