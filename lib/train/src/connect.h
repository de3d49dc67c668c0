#pragma once

#include "cornstarch/comm/communicator.h"
#include "cornstarch/config/run_config.h"
#include "cornstarch/launch/environment.h"

namespace cornstarch::train {

comm::Deadline deadline_of(const config::Deadlines& seconds);

/// The processes that a launcher started, by the backend of the config's device. Throws Failure.
comm::CommunicatorPtr connect(const config::RunConfig& config, const launch::LaunchContext& launch);

}  // namespace cornstarch::train
