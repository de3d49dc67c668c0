#pragma once

#include <string>

namespace cornstarch::app {

/// The version of this program, and of what it was built with.
std::string version_text();

/// Whether the worker of this build knows GPUs.
bool built_for_cuda();

}  // namespace cornstarch::app
