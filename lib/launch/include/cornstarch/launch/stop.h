#pragma once

namespace cornstarch::launch {

/// Turns SIGINT, SIGTERM and SIGUSR1 into a request that the training loop reads once per step; a second
/// SIGINT ends the process at once. The handler only sets a flag.
void install_stop_handlers();

/// The signal that asked to stop, or 0.
int stop_requested();

}  // namespace cornstarch::launch
