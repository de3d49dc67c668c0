#include "unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
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

std::array<std::string, 256> make_byte_letters() {
  std::array<std::string, 256> letters;
  unsigned next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
    letters[byte] = utf8_of(printable ? byte : next++);
  }
  return letters;
}

/// By the code of the stand-in, all of which are below U+0144; -1 for what is none.
std::array<int, 0x800> make_letter_bytes() {
  std::array<int, 0x800> bytes;
  bytes.fill(-1);
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::string& letter = byte_letters()[byte];
    bytes[code_of(letter)] = static_cast<int>(byte);
  }
  return bytes;
}

/// As Python has it: Unicode's White_Space and U+001C to U+001F.
bool is_space(std::string_view letter) {
  utf8proc_int32_t code = -1;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(letter.data()), std::ssize(letter), &code);
  if ((code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x1F) || code == 0x85) return true;
  const utf8proc_category_t category = utf8proc_category(code);
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

utf8proc_option_t options_of(NormalForm form) {
  int options = UTF8PROC_STABLE;
  const bool composed = form == NormalForm::nfc || form == NormalForm::nfkc;
  options |= composed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::nfkc || form == NormalForm::nfkd) options |= UTF8PROC_COMPAT;
  return static_cast<utf8proc_option_t>(options);
}

}  // namespace

std::string utf8_of(unsigned code) {
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
}

unsigned code_of(std::string_view letter) {
  const unsigned first = byte_at(letter, 0);
  return letter.size() == 1 ? first : (first & 0x1F) << 6 | (byte_at(letter, 1) & 0x3Fu);
}

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

const std::array<std::string, 256>& byte_letters() {
  static const std::array<std::string, 256> letters = make_byte_letters();
  return letters;
}

std::string bytes_of_letters(std::string_view token) {
  static const std::array<int, 0x800> bytes = make_letter_bytes();
  std::string out;
  for (std::string_view rest = token; !rest.empty();) {
    const auto length = static_cast<std::size_t>(std::max(1, utf8_length(rest)));
    const int byte = length > 2 ? -1 : bytes[code_of(rest.substr(0, length))];
    if (byte < 0) return std::string(token);
    out += static_cast<char>(byte);
    rest.remove_prefix(length);
  }
  return out;
}

std::string_view trim_unicode(std::string_view text) {
  while (!text.empty()) {
    const auto length = static_cast<std::size_t>(std::max(1, utf8_length(text)));
    if (!is_space(text.substr(0, length))) break;
    text.remove_prefix(length);
  }
  while (!text.empty()) {
    std::size_t last = text.size() - 1;
    while (last > 0 && (byte_at(text, last) & 0xC0) == 0x80) --last;
    if (!is_space(text.substr(last))) break;
    text.remove_suffix(text.size() - last);
  }
  return text;
}

Result<std::string> normalize(std::string_view text, NormalForm form) {
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &mapped, options_of(form));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  if (size < 0) return fail(ExitCode::bad_data, cat("cannot normalise the text: ", utf8proc_errmsg(size)));
  return std::string(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(size));
}

}  // namespace cornstarch::dataio
