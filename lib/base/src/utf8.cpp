#include "cornstarch/base/utf8.h"

#include <algorithm>
#include <array>

namespace cornstarch {
namespace {

unsigned char byte_at(std::string_view text, std::size_t at) { return static_cast<unsigned char>(text[at]); }

/// What the second byte may be after `lead` (Unicode, table 3-7: well-formed UTF-8 byte sequences).
struct SecondByte {
  unsigned char low = 0x80, high = 0xBF;
};
SecondByte second_byte(unsigned char lead) {
  switch (lead) {
    case 0xE0:
      return {0xA0, 0xBF};
    case 0xED:
      return {0x80, 0x9F};
    case 0xF0:
      return {0x90, 0xBF};
    case 0xF4:
      return {0x80, 0x8F};
    default:
      return {};
  }
}

int length_by_lead(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

/// How many bytes at the start fit together, complete character or not.
int well_formed_bytes(std::string_view text) {
  const int length = length_by_lead(byte_at(text, 0));
  if (length <= 1) return length;
  const SecondByte second = second_byte(byte_at(text, 0));
  int n = 1;
  while (n < length && static_cast<std::size_t>(n) < text.size()) {
    const unsigned char byte = byte_at(text, static_cast<std::size_t>(n));
    const bool fits = n == 1 ? byte >= second.low && byte <= second.high : (byte & 0xC0) == 0x80;
    if (!fits) break;
    ++n;
  }
  return n;
}

/// The characters of two or more bytes that are white space.
constexpr std::array<std::string_view, 19> kSpaces = {
    "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81",
    "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86",
    "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8",
    "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};

bool is_space(std::string_view letter) {
  const unsigned char first = byte_at(letter, 0);
  if (first < 0x80) return (first >= 0x09 && first <= 0x0D) || (first >= 0x1C && first <= 0x20);
  return std::find(kSpaces.begin(), kSpaces.end(), letter) != kSpaces.end();
}

}  // namespace

int utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const int length = length_by_lead(byte_at(text, 0));
  return well_formed_bytes(text) == length ? length : 0;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const int length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(static_cast<std::size_t>(length));
  }
  return true;
}

std::string lossy_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const int length = utf8_length(bytes);
    const std::size_t taken =
        static_cast<std::size_t>(length > 0 ? length : std::max(1, well_formed_bytes(bytes)));
    out += length > 0 ? bytes.substr(0, taken) : std::string_view("\xEF\xBF\xBD");
    bytes.remove_prefix(taken);
  }
  return out;
}

std::string utf8_of(unsigned code) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) return {static_cast<char>(code)};
  if (code < 0x800) return {static_cast<char>(0xC0 | (code >> 6)), tail(0)};
  if (code < 0x10000) return {static_cast<char>(0xE0 | (code >> 12)), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | (code >> 18)), tail(12), tail(6), tail(0)};
}

std::string_view trim_start(std::string_view text) {
  while (!text.empty()) {
    const auto length = static_cast<std::size_t>(std::max(1, utf8_length(text)));
    if (!is_space(text.substr(0, length))) break;
    text.remove_prefix(length);
  }
  return text;
}

std::string_view trim_end(std::string_view text) {
  while (!text.empty()) {
    std::size_t last = text.size() - 1;
    while (last > 0 && (byte_at(text, last) & 0xC0) == 0x80) --last;
    if (!is_space(text.substr(last))) break;
    text.remove_suffix(text.size() - last);
  }
  return text;
}

std::string_view trim_unicode(std::string_view text) { return trim_end(trim_start(text)); }

}  // namespace cornstarch
