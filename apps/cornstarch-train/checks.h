#pragma once

#include "cornstarch/base/diagnostics.h"
#include "run_file.h"

namespace cornstarch::app {

/// What a run would open before its first step, beyond what resolve() reads: tokenizer and preprocessing.
/// Every problem goes to `diagnostics`.
void check_inputs(const Resolved& run, Diagnostics& diagnostics);

}  // namespace cornstarch::app
