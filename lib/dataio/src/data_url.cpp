#include "data_url.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

constexpr std::string_view kScheme = "data:", kBase64 = ";base64";

constexpr std::array<std::int8_t, 256> values() {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<std::int8_t, 256> out{};
  for (auto& value : out) value = -1;
  for (std::size_t i = 0; i < letters.size(); ++i)
    out[static_cast<unsigned char>(letters[i])] = static_cast<std::int8_t>(i);
  return out;
}

/// RFC 4648, with or without padding.
Result<std::string> decode(std::string_view text) {
  static constexpr auto kValues = values();
  const std::size_t all = text.size();
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  if (text.size() % 4 == 1 || (text.size() != all && all % 4 != 0))
    return fail(ExitCode::bad_data, "its base64 is cut short");
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  int held = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int value = kValues[static_cast<unsigned char>(text[i])];
    if (value < 0) return fail(ExitCode::bad_data, cat("no base64 at letter ", i + 1));
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out += static_cast<char>(bits >> held & 0xFF);
  }
  return out;
}

}  // namespace

bool is_data_url(std::string_view name) { return name.starts_with(kScheme); }

Result<std::string> data_of(std::string_view url) {
  const std::size_t comma = url.find(',');
  if (comma == std::string_view::npos || !url.substr(0, comma).ends_with(kBase64))
    return fail(ExitCode::bad_data, "a data: URL that is not in base64",
                "it begins as data:image/png;base64, and goes on with the file's bytes in base64");
  return decode(url.substr(comma + 1));
}

std::string shown_name(std::string_view name) {
  constexpr std::size_t most = 64;
  if (!is_data_url(name) || name.size() <= most) return std::string(name);
  return cat(name.substr(0, std::min(most / 2, name.find(',') + 1)), "...");
}

}  // namespace cornstarch::dataio
