#pragma once

#include <string>
#include <vector>

#include "family.h"

namespace cornstarch::catalog {

/// The names among those of a weights file that `spec` has no place for and neither its family nor one of
/// the `ignored` patterns leaves out. A tied weight has a place.
std::vector<std::string> surplus_weights(const ModelSpec& spec, const std::vector<std::string>& names,
                                         const std::vector<std::string>& ignored);

/// The names with their numbers as '*', each once: patterns that fit them, as few as tell them apart.
std::vector<std::string> patterns_of(const std::vector<std::string>& names);

/// What they tell about the folder, or "".
std::string meaning_of(const Family& family, const std::vector<std::string>& surplus);

}  // namespace cornstarch::catalog
