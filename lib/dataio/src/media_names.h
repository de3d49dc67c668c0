#pragma once

#include <optional>
#include <string_view>

#include "cornstarch/dataio/conversations.h"

namespace cornstarch::dataio {

/// What a file is by the end of its name: "a/b.PNG".
std::optional<MediaKind> media_kind_of(std::string_view name);

}  // namespace cornstarch::dataio
