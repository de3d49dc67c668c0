#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "cornstarch/base/result.h"

namespace cornstarch::dataio {

/// Length in bytes of the well-formed UTF-8 character at the start of `text`; 0 if there is none.
int utf8_length(std::string_view text);
bool is_utf8(std::string_view text);
/// With U+FFFD for each maximal ill-formed part (as Unicode recommends, and Rust's from_utf8_lossy does).
std::string lossy_utf8(std::string_view bytes);

/// Characters below U+0800, which are those of one or two bytes.
std::string utf8_of(unsigned code);
unsigned code_of(std::string_view letter);

/// GPT-2's printable stand-ins for the 256 bytes: byte -> UTF-8 of its stand-in.
const std::array<std::string, 256>& byte_letters();
/// The bytes that a token of stand-ins spells; the token itself if one of its characters is no stand-in.
std::string bytes_of_letters(std::string_view token);

/// Without white space at both ends, as Python's str.strip().
std::string_view trim_unicode(std::string_view text);

enum class NormalForm { nfc, nfd, nfkc, nfkd };
Result<std::string> normalize(std::string_view text, NormalForm form);

}  // namespace cornstarch::dataio
