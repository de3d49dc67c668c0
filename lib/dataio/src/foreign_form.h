#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "cornstarch/base/result.h"

namespace cornstarch::dataio {

/// What a file is that is no JSON, told by its first kilobyte, with how to turn it into what is read. Nothing
/// if it may be JSON.
std::optional<Error> foreign_form(std::string_view head, const std::filesystem::path& path);

}  // namespace cornstarch::dataio
