#pragma once

#include <string_view>

#include "cornstarch/base/result.h"

namespace cornstarch::app {

/// Writes to stdout; an error (74) if it does not all arrive, as on a full disk.
ExitCode print_out(std::string_view text);

/// Says on stderr what went wrong, and returns the exit code that goes with it.
ExitCode complain(const Error& error);

}  // namespace cornstarch::app
