#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "cornstarch/base/result.h"

namespace cornstarch::app {

/// Writes to stdout; an error (74) if it does not all arrive, as on a full disk.
ExitCode print_out(std::string_view text);

/// Says on stderr what went wrong, and returns the exit code that goes with it.
ExitCode complain(const Error& error);

/// How wide a table may be: as the terminal, within reason, or 110 where standard output is none.
std::size_t columns();

/// How this program was started, as a shell would take it again.
std::string command_line();

}  // namespace cornstarch::app
