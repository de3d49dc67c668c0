#pragma once

#include <c10/core/Device.h>

#include <string>
#include <utility>
#include <vector>

#include "cornstarch/comm/communicator.h"

namespace cornstarch::train {

/// What a run was made with, as versions.json: `built_with` (those that are part of this build), what carries
/// messages, the machine of rank 0, the launcher.
std::string versions_json(const std::vector<std::pair<std::string, std::string>>& built_with,
                          const comm::Communicator& comm, at::Device device, const std::string& launcher);

}  // namespace cornstarch::train
