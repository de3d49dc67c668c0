#pragma once

#include "cornstarch/config/load.h"
#include "report.h"

namespace cornstarch::config {

/// What concerns several keys at once and needs no knowledge of model families.
void check_rules(const Loaded& loaded, Report& report);

}  // namespace cornstarch::config
