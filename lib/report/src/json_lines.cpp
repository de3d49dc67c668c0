#include "json_lines.h"

#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"

namespace cornstarch::report {

namespace {
constexpr std::size_t kMostDeep = 16;
constexpr int kMostNotes = 3;
}  // namespace

const char* kind_of(const nlohmann::json& value) {
  if (value.is_string()) return "a text";
  if (value.is_number()) return "a number";
  if (value.is_boolean()) return "true or false";
  if (value.is_array()) return "a list";
  return value.is_object() ? "an object" : "null";
}

void for_each_line(const std::string& text, const std::string& name, std::vector<std::string>& notes,
                   const std::function<void(const nlohmann::json&, const std::string& place)>& take) {
  std::int64_t number = 0, unread = 0, first = 0;
  bool last = false;  // whether the last line is one of those
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line(text.data() + begin, end - begin);
    begin = end + 1;
    ++number;
    if (trim(line).empty()) continue;
    const nlohmann::json value =
        nests_deeper(line, kMostDeep) ? nlohmann::json() : nlohmann::json::parse(line, nullptr, false);
    last = !value.is_object();
    if (value.is_object()) {
      take(value, cat(name, ":", number));
    } else if (++unread == 1) {
      first = number;
    }
  }
  if (unread > 1)
    notes.push_back(cat(name, ":", first, ": ", unread, " lines are no JSON objects and were left out"));
  if (unread == 1)
    notes.push_back(
        cat(name, ":", first, last ? ": the last line is" : ": the line is", " not whole and was left out"));
}

void Noted::add(const std::string& place, const std::string& what) {
  if (++count_ <= kMostNotes) notes_.push_back(cat(place, ": ", what));
}

Noted::~Noted() {
  if (count_ > kMostNotes)
    notes_.push_back(cat(name_, ": ", count_ - kMostNotes, " more lines or values were left out"));
}

}  // namespace cornstarch::report
