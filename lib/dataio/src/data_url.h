#pragma once

#include <string>
#include <string_view>

#include "cornstarch/base/result.h"

namespace cornstarch::dataio {

/// Whether a media item's name is its content: "data:image/png;base64,iVBOR...".
bool is_data_url(std::string_view name);

/// The content. Its type is not looked at: what a file is is told by how it begins.
Result<std::string> data_of(std::string_view url);

/// A media item's name for messages: of a data: URL only the start.
std::string shown_name(std::string_view name);

}  // namespace cornstarch::dataio
