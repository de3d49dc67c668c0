#pragma once

#include <string>
#include <string_view>

namespace cornstarch {

/// Length in bytes of the well-formed UTF-8 character at the start of `text`; 0 if there is none.
int utf8_length(std::string_view text);
bool is_utf8(std::string_view text);
/// With U+FFFD for each maximal ill-formed part (as Unicode recommends, and Rust's from_utf8_lossy does).
std::string lossy_utf8(std::string_view bytes);

std::string utf8_of(unsigned code);

/// Without white space at the start, at the end, at both, as Python's str.lstrip(), rstrip() and strip():
/// Unicode's White_Space and U+001C to U+001F.
std::string_view trim_start(std::string_view text);
std::string_view trim_end(std::string_view text);
std::string_view trim_unicode(std::string_view text);

}  // namespace cornstarch
