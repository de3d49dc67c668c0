#pragma once

#include "cornstarch/config/run_config.h"
#include "worker.h"

namespace cornstarch::app {

/// Runs the worker of a config as a child and starts it again, from its newest checkpoint, after a fault that
/// may not come again: up to `restarts` times without a newer checkpoint in between. Signals go on to the
/// child, and it ends with this process. Returns what the last one exited with.
int run_with_restarts(WorkerStart start, config::RunConfig config, int restarts);

/// Whether what exits so may do better another time: not after a bad config, bad data or numbers that are
/// none, which come again, nor when it was asked to stop.
bool is_worth_another_try(int exit_code);

}  // namespace cornstarch::app
