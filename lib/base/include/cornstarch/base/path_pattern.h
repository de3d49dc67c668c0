#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch {

/// The files that a pattern names, in its order: "{000..127}" and "{a,b}" as in bash, then "*", "?" and
/// "[a-z]" as in glob(3), sorted by name. What exists by that very name is that file; what is no pattern is
/// itself, whether it exists or not. Of a pattern, all that it spells out must exist.
Result<std::vector<std::filesystem::path>> expand_pattern(const std::string& pattern);

}  // namespace cornstarch
