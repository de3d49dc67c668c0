#pragma once

#include <filesystem>

#include "node.h"
#include "outline.h"
#include "report.h"

namespace cornstarch::config {

/// Where paths are relative to: what the file says, to its folder; what --set says, and outputs, to the
/// current one.
struct Bases {
  std::filesystem::path file;
  std::filesystem::path current;
};

/// Checks a tree against the outline: keys, types, ranges. Reports every problem, marks what is no value as
/// refused, makes paths absolute and notes where each key was written.
void conform(Node& root, const Bases& bases, SourceMap& where, Report& report);

/// The name of the file in the places of what --set gives.
inline constexpr const char* kSetName = "--set";

}  // namespace cornstarch::config
