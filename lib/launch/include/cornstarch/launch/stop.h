#pragma once

#include <chrono>
#include <optional>

#include "cornstarch/launch/environment.h"

/// Signals as requests to stop. docs/launch.md tells what launchers send, and when they kill.
namespace cornstarch::launch {

using Milliseconds = std::chrono::milliseconds;

/// From this signal until the launcher kills the process; nothing where it does not. Only a launcher's own
/// signals begin its countdown.
std::optional<Milliseconds> time_until_killed(int signal, bool from_launcher, const LaunchContext& launch,
                                              const GetEnv& get_env);

/// Hears SIGINT, SIGTERM, SIGUSR1 and, unless it is ignored (nohup), SIGHUP from now on, in a thread of its
/// own; under Open MPI also the SIGCONT by which mpirun begins to end a run. To be called before other
/// threads begin. SIGPIPE is ignored. Rank 0 says at once what was heard and what becomes of the run. A
/// second SIGINT ends the process at once; until stops_wait() every signal does, since there is nothing to
/// save yet. `grace`: instead of what is known of the launcher, for every signal.
void hear_signals(const LaunchContext& launch, std::optional<Milliseconds> grace);

/// Whether any signal may be followed by a kill.
bool may_be_killed();

/// From now on a signal is a request that the training loop reads.
void stops_wait();

/// The signal that asked to stop, or 0.
int stop_requested();

/// When what is under way should have ended, so that half of the time that is left until the launcher kills
/// is there for saving; nothing where nobody asked or nobody kills.
std::optional<std::chrono::steady_clock::time_point> finish_by();

}  // namespace cornstarch::launch
