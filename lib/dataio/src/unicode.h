#pragma once

#include <array>
#include <string>
#include <string_view>

#include "cornstarch/base/result.h"
#include "cornstarch/base/utf8.h"

namespace cornstarch::dataio {

/// Of characters below U+0800, which are those of one or two bytes.
unsigned code_of(std::string_view letter);

/// GPT-2's printable stand-ins for the 256 bytes: byte -> UTF-8 of its stand-in.
const std::array<std::string, 256>& byte_letters();
/// The bytes that a token of stand-ins spells; the token itself if one of its characters is no stand-in.
std::string bytes_of_letters(std::string_view token);

enum class NormalForm { nfc, nfd, nfkc, nfkd };
Result<std::string> normalize(std::string_view text, NormalForm form);

}  // namespace cornstarch::dataio
