#pragma once

#include <string_view>
#include <vector>

#include "tree.h"

namespace cornstarch::templates {

/// The statements of a template whose lines are normalised. What is not supported is refused here, wherever
/// its name says so. Throws Refused.
std::vector<Statement> parse(std::string_view source);

}  // namespace cornstarch::templates
