#include "scalars.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "cornstarch/base/text.h"

namespace cornstarch::config {
namespace {

bool digits_only(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string_view without_sign(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  return text;
}

/// [digits][.digits][e[+-]digits], with a digit before the exponent.
bool looks_decimal(std::string_view text) {
  const auto skip_digits = [&] {
    const std::size_t n = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(n);
    return n;
  };
  std::size_t digits = skip_digits();
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    digits += skip_digits();
  }
  if (digits == 0) return false;
  if (text.empty()) return true;
  if (text[0] != 'e' && text[0] != 'E') return false;
  return digits_only(without_sign(text.substr(1)));
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

}  // namespace

std::optional<Integer> parse_integer(std::string_view text) {
  Integer out;
  out.negative = !text.empty() && text[0] == '-';
  if (out.negative) text.remove_prefix(1);
  if (!digits_only(text) || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.magnitude);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

std::optional<double> parse_number(std::string_view text) {
  const std::string_view bare = without_sign(text);
  if (!looks_decimal(bare)) return std::nullopt;
  if (bare.size() > 1 && bare[0] == '0' && std::isdigit(static_cast<unsigned char>(bare[1])))
    return std::nullopt;
  double out = 0;
  const auto [end, error] = std::from_chars(bare.data(), bare.data() + bare.size(), out);
  if (error != std::errc() || end != bare.data() + bare.size()) return std::nullopt;
  return text[0] == '-' ? -out : out;
}

std::optional<bool> parse_bool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

std::string clearer_spelling(std::string_view text) {
  if (parse_bool(text) || parse_number(text)) return {};
  const std::string word = lower(text);
  if (is_one_of(word, {"true", "yes", "on"})) return "write true";
  if (is_one_of(word, {"false", "no", "off"})) return "write false";
  if (word == "none") return "write null";
  if (is_one_of(word, {".nan", ".inf", "+.inf", "-.inf"})) return "write a finite number";

  const std::string sign = !text.empty() && text[0] == '-' ? "-" : "";
  std::string bare(without_sign(text));
  if (bare.find('_') != std::string::npos) {
    bare.erase(std::remove(bare.begin(), bare.end(), '_'), bare.end());
    if (looks_decimal(bare)) return cat("write ", sign, bare, ", without '_'");
    return {};
  }
  if (bare.size() > 1 && bare[0] == '0' && looks_decimal(bare)) {
    bare.erase(0, std::min(bare.find_first_not_of('0'), bare.size() - 1));
    if (bare[0] == '.' || bare[0] == 'e' || bare[0] == 'E') bare.insert(0, "0");
    return cat("write ", sign, bare, ", without leading zeros");
  }
  const std::string prefix = lower(bare.substr(0, 2));
  const bool hex = prefix == "0x" && bare.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string::npos;
  const bool octal = prefix == "0o" && bare.find_first_not_of("01234567", 2) == std::string::npos;
  if (bare.size() > 2 && (hex || octal)) return "write a decimal number";
  if (looks_decimal(bare)) return "write a finite number";
  return {};
}

bool reads_as_value(std::string_view text) {
  return parse_bool(text) || parse_number(text) || !clearer_spelling(text).empty();
}

std::string format_number(double value) {
  std::array<char, 64> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  std::string out(buffer.data(), end);
  if (out.find('.') == std::string::npos) out.insert(std::min(out.find('e'), out.size()), ".0");
  return out;
}

}  // namespace cornstarch::config
