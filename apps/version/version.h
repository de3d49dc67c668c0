#pragma once

#include <string>
#include <utility>
#include <vector>

namespace cornstarch::app {

/// This program and what it was built with, by name. Empty: not part of this build.
std::vector<std::pair<std::string, std::string>> versions();

/// The same for people.
std::string version_text();

/// Whether the worker of this build knows GPUs.
bool built_for_cuda();

}  // namespace cornstarch::app
