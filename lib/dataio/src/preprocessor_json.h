#pragma once

#include <string>
#include <vector>

#include "json_text.h"

namespace cornstarch::dataio {

tl::unexpected<Error> preprocessor_failure(const std::string& message);

/// The content of preprocessor_config.json; an error if it is of another class than `classes`.
Result<Json> read_preprocessor_json(const std::string& text, const std::vector<std::string>& classes);

/// Key by key into the variable; it is left alone where the key is absent or null. Returns what is wrong, or
/// "".
std::string read_key(const Json& json, const char* key, bool& out);
std::string read_key(const Json& json, const char* key, int& out);  ///< at least 1
std::string read_key(const Json& json, const char* key, double& out);

/// The first that is not empty, or "".
std::string first_problem(const std::vector<std::string>& problems);

std::string shape_text(const std::vector<std::int64_t>& shape);

}  // namespace cornstarch::dataio
