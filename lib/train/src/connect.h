#pragma once

#include <functional>

#include "cornstarch/comm/communicator.h"
#include "cornstarch/config/run_config.h"
#include "cornstarch/launch/environment.h"

namespace cornstarch::train {

comm::Deadline deadline_of(const config::Deadlines& seconds);

/// `work` as one of the processes that a launcher started, connected by the backend of the config's device:
/// whatever ends it early is told to the others. Returns its exit code; throws what ends a process that is
/// alone, and what keeps it from connecting.
int as_process(const config::RunConfig& config, const launch::LaunchContext& launch,
               const std::function<int(const comm::CommunicatorPtr&)>& work);

}  // namespace cornstarch::train
