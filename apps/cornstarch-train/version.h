#pragma once

#include <string>

namespace cornstarch::app {

/// The version of this program, and of what it was built with.
std::string version_text();

}  // namespace cornstarch::app
