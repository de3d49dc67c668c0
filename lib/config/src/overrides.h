#pragma once

#include <string>

#include "node.h"
#include "report.h"

namespace cornstarch::config {

/// Applies one `--set a.b[1].c=value` to a tree whose keys are canonical. The place of what it sets is in the
/// flag.
void apply_override(const std::string& flag, Node& root, Report& report);

}  // namespace cornstarch::config
