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

/// What a parser of nlohmann's has thrown or reported, as parse_json says it.
Error json_problem(const Json::exception& error);

/// "a string", "a number", ... with its article, for messages.
std::string kind_of(const Json& value);

/// The value of a key, or nothing if it is absent or null.
const Json* find(const Json& object, const char* key);

}  // namespace cornstarch::dataio
