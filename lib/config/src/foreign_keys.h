#pragma once

#include <string>

namespace cornstarch::config {

/// What to do about a key of another trainer that has no counterpart here, in lower case with '_'; "" if it
/// is unknown. Keys that have one are `hints` in fields.h.
std::string foreign_key_help(const std::string& word);

}  // namespace cornstarch::config
