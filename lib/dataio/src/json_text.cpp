#include "json_text.h"

#include "cornstarch/base/text.h"
#include "cornstarch/base/utf8.h"

namespace cornstarch::dataio {
namespace {

constexpr int kMaxDepth = 64;

struct TooDeep {};

/// nlohmann's text without its "[json.exception.parse_error.101] parse error at line 1, column 9: ". It
/// repeats what it could not read, as it is.
std::string reason(const std::exception& error) {
  const std::string text = error.what();
  const std::size_t at = text.find("column ");
  const std::size_t colon = text.find(": ", at == std::string::npos ? 0 : at);
  return lossy_utf8(colon == std::string::npos ? text : text.substr(colon + 2));
}

}  // namespace

Result<Json> parse_json(std::string_view text) {
  const auto limit_depth = [](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) throw TooDeep{};
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), limit_depth);
  } catch (const TooDeep&) {
    return fail(ExitCode::bad_data, cat("JSON nested deeper than ", kMaxDepth, " levels"));
  } catch (const Json::exception& error) {
    return tl::unexpected(json_problem(error));
  }
}

Error json_problem(const Json::exception& error) {
  if (const auto* at = dynamic_cast<const Json::parse_error*>(&error))
    return {ExitCode::bad_data, cat("not JSON at byte ", at->byte, ": ", reason(error)), {}};
  return {ExitCode::bad_data, cat("not JSON: ", reason(error)), {}};
}

std::string kind_of(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "a list";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::boolean:
      return "true or false";
    default:
      return "a number";
  }
}

const Json* find(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

}  // namespace cornstarch::dataio
