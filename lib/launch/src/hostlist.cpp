#include <algorithm>
#include <charconv>

#include "cornstarch/base/text.h"
#include "cornstarch/launch/environment.h"

namespace cornstarch::launch {
namespace {

constexpr std::size_t kMaxHosts = 100'000;
constexpr std::size_t kMaxDigits = 15;
constexpr std::size_t kMaxName = 255;  // letters, as POSIX allows a host's name

tl::unexpected<Error> bad(const std::string& text, const std::string& why) {
  return fail(ExitCode::launch, cat("host list '", text, "': ", why), "it looks like n[01-03,7],login");
}

std::optional<unsigned long long> parse_digits(std::string_view text) {
  unsigned long long value = 0;
  if (text.empty() || text.size() > kMaxDigits) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string padded(unsigned long long value, std::size_t width) {
  std::string digits = std::to_string(value);
  if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
  return digits;
}

/// "01-03,7" -> 01 02 03 7
Result<std::vector<std::string>> expand_ranges(const std::string& text, std::string_view ranges) {
  std::vector<std::string> out;
  for (const std::string& range : split(ranges, ',')) {
    const auto dash = range.find('-');
    const std::string low_text = range.substr(0, dash);
    const auto low = parse_digits(low_text);
    const auto high =
        dash == std::string::npos ? low : parse_digits(std::string_view(range).substr(dash + 1));
    if (!low || !high || *low > *high) return bad(text, cat("'", range, "' is no range"));
    if (*high - *low >= kMaxHosts - out.size()) return bad(text, "too many hosts");
    for (auto value = *low; value <= *high; ++value) out.push_back(padded(value, low_text.size()));
  }
  return out;
}

/// One item of the list, with any number of brackets: "r[1-2]n[3-4]".
Result<std::vector<std::string>> expand_item(const std::string& text, std::string_view item) {
  std::vector<std::string> names{""};
  while (!item.empty()) {
    const auto open = item.find('[');
    if (names[0].size() + std::min(open, item.size()) > kMaxName)
      return bad(text, cat("a name is longer than ", kMaxName, " letters"));
    for (auto& name : names) name += item.substr(0, open);
    if (open == std::string_view::npos) break;
    const auto close = item.find(']', open);
    auto numbers = expand_ranges(text, item.substr(open + 1, close - open - 1));
    if (!numbers) return numbers;
    if (names.size() * numbers->size() > kMaxHosts) return bad(text, "too many hosts");
    std::vector<std::string> longer;
    for (const auto& name : names) {
      for (const auto& digits : *numbers) longer.push_back(name + digits);
    }
    names = std::move(longer);
    item.remove_prefix(close + 1);
  }
  return names;
}

/// Cuts at commas outside brackets.
Result<std::vector<std::string_view>> items_of(const std::string& text) {
  std::vector<std::string_view> items;
  bool inside = false;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : ',';
    if (c == '[' || c == ']') {
      if (inside == (c == '[')) return bad(text, "its brackets do not match");
      inside = !inside;
    } else if (c == ',' && (!inside || i == text.size())) {
      if (i == begin) return bad(text, "a name is empty");
      items.push_back(std::string_view(text).substr(begin, i - begin));
      begin = i + 1;
    }
  }
  if (inside) return bad(text, "its brackets do not match");
  return items;
}

}  // namespace

Result<std::vector<std::string>> expand_hostlist(const std::string& text) {
  const auto items = items_of(text);
  if (!items) return tl::unexpected(items.error());
  std::vector<std::string> hosts;
  for (const auto item : *items) {
    auto names = expand_item(text, item);
    if (!names) return names;
    if (hosts.size() + names->size() > kMaxHosts) return bad(text, "too many hosts");
    hosts.insert(hosts.end(), names->begin(), names->end());
  }
  return hosts;
}

}  // namespace cornstarch::launch
