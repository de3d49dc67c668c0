#include "unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

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

utf8proc_option_t options_of(NormalForm form) {
  int options = UTF8PROC_STABLE;
  const bool composed = form == NormalForm::nfc || form == NormalForm::nfkc;
  options |= composed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::nfkc || form == NormalForm::nfkd) options |= UTF8PROC_COMPAT;
  return static_cast<utf8proc_option_t>(options);
}

}  // namespace

unsigned code_of(std::string_view letter) {
  const unsigned first = static_cast<unsigned char>(letter[0]);
  return letter.size() == 1 ? first : (first & 0x1F) << 6 | (static_cast<unsigned char>(letter[1]) & 0x3Fu);
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
