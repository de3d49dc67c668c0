#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "cornstarch/base/result.h"

namespace cornstarch::dataio {

using Json = nlohmann::json;

/// JSON that nobody trusts: at most 64 levels deep. The error says where, in bytes, and what was expected.
Result<Json> parse_json(std::string_view text);

/// "a string", "a number", ... with its article, for messages.
std::string kind_of(const Json& value);

/// The value of a key, or nothing if it is absent or null.
const Json* find(const Json& object, const char* key);

}  // namespace cornstarch::dataio
