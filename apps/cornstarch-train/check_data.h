#pragma once

#include "cornstarch/base/diagnostics.h"
#include "run_file.h"

namespace cornstarch::app {

/// Opens the data sets of a run and reads so many samples of each whole, media included: the first ones and
/// some of the others. Every problem goes to `diagnostics`; returns the exit code of the first one.
ExitCode check_data(const Resolved& run, int samples, Diagnostics& diagnostics);

}  // namespace cornstarch::app
