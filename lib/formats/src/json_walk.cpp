#include "json_walk.h"

#include "cornstarch/base/text.h"

namespace cornstarch::formats {
namespace {

constexpr std::size_t kMaxDepth = 64;

}  // namespace

Result<void> JsonWalk::through(std::string_view json, const std::string& what) {
  what_ = what;
  nlohmann::json::sax_parse(json.begin(), json.end(), static_cast<nlohmann::json_sax<nlohmann::json>*>(this));
  if (problem_) return tl::unexpected(std::move(*problem_));
  return {};
}

void JsonWalk::refuse(std::string message, std::string help) {
  if (!problem_) problem_ = Error{ExitCode::bad_data, std::move(message), std::move(help)};
}

bool JsonWalk::number_unsigned(number_unsigned_t number) {
  if (number > std::uint64_t{INT64_MAX}) return scalar({});
  return scalar({Kind::natural, nullptr, static_cast<std::int64_t>(number)});
}

bool JsonWalk::scalar(const Value& given) {
  value(given);
  return !problem_;
}

bool JsonWalk::open(Kind kind) {
  value({kind, nullptr, 0});
  if (++depth_ > kMaxDepth) refuse(cat(what_, " is nested deeper than ", kMaxDepth, " levels"));
  return !problem_;
}

bool JsonWalk::close() {
  --depth_;
  end();
  return !problem_;
}

bool JsonWalk::key(string_t& text) {
  name(text);
  return !problem_;
}

bool JsonWalk::parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) {
  refuse(cat(what_, " is not JSON"));
  return false;
}

}  // namespace cornstarch::formats
