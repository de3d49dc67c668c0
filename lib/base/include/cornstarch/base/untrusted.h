#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// Texts from files that nobody trusts.
namespace cornstarch {

/// With '?' for control characters, which a terminal might obey. Newlines and tabs
/// stay.
std::string harmless(std::string_view text);

/// Whether the brackets of a JSON text nest deeper than that. What walks through its values calls itself.
bool nests_deeper(std::string_view json, std::size_t most);

}  // namespace cornstarch
