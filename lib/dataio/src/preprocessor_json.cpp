#include "preprocessor_json.h"

#include <algorithm>
#include <cmath>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

constexpr double kMaxCount = 1 << 24;

std::string wrong(const char* key, const char* wanted, const Json& value) {
  return cat("'", key, "' must be ", wanted, ", not ", value.is_number() ? value.dump() : kind_of(value));
}

}  // namespace

tl::unexpected<Error> preprocessor_failure(const std::string& message) {
  return fail(ExitCode::bad_data, cat("preprocessor_config.json: ", message));
}

Result<Json> read_preprocessor_json(const std::string& text, const std::vector<std::string>& classes) {
  auto json = parse_json(text);
  if (!json) return preprocessor_failure(json.error().message);
  if (!json->is_object()) return preprocessor_failure("not an object");
  for (const char* key : {"image_processor_type", "feature_extractor_type"}) {
    const Json* type = find(*json, key);
    if (type == nullptr) continue;
    const std::string name = type->is_string() ? type->get<std::string>() : type->dump();
    if (std::find(classes.begin(), classes.end(), name) == classes.end())
      return preprocessor_failure(cat("'", key, "' is ", name,
                                      ", which is not implemented here; implemented: ", join(classes, ", ")));
  }
  return json;
}

std::string read_key(const Json& json, const char* key, bool& out) {
  const Json* value = find(json, key);
  if (value == nullptr) return {};
  if (!value->is_boolean()) return wrong(key, "true or false", *value);
  out = value->get<bool>();
  return {};
}

std::string read_key(const Json& json, const char* key, int& out) {
  const Json* value = find(json, key);
  if (value == nullptr) return {};
  const double number = value->is_number() ? value->get<double>() : 0;
  if (number < 1 || number > kMaxCount || number != std::floor(number))
    return wrong(key, "a whole number from 1", *value);
  out = static_cast<int>(number);
  return {};
}

std::string read_key(const Json& json, const char* key, double& out) {
  const Json* value = find(json, key);
  if (value == nullptr) return {};
  if (!value->is_number()) return wrong(key, "a number", *value);
  out = value->get<double>();
  return {};
}

std::string first_problem(const std::vector<std::string>& problems) {
  const auto it =
      std::find_if(problems.begin(), problems.end(), [](const std::string& p) { return !p.empty(); });
  return it == problems.end() ? std::string() : *it;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::vector<std::string> parts;
  parts.reserve(shape.size());
  for (const std::int64_t d : shape) parts.push_back(std::to_string(d));
  return cat("[", join(parts, ", "), "]");
}

}  // namespace cornstarch::dataio
