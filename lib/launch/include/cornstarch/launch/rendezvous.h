#pragma once

#include <string>

#include "cornstarch/launch/environment.h"

namespace cornstarch::launch {

/// Where the processes of a run meet: a key-value store behind a TCP port.
struct Rendezvous {
  std::string host;
  int port = 0;
  bool served = false;  ///< the launcher serves the store itself; otherwise rank 0 does
  std::string prefix;   ///< of this run's keys in a store that outlives it
};

/// MASTER_ADDR and MASTER_PORT where they are set, as torchrun does; under Slurm the first host of the step
/// or the job and a port made of the job's id; on one host the loopback interface. Otherwise error 69 says
/// what to set.
Result<Rendezvous> rendezvous(const LaunchContext& launch, const GetEnv& get_env);
Result<Rendezvous> rendezvous(const LaunchContext& launch);  ///< from the process's environment

}  // namespace cornstarch::launch
