#pragma once

#include <string>
#include <vector>

#include "cornstarch/launch/environment.h"

namespace cornstarch::launch {

/// Where the processes of a run meet.
struct Rendezvous {
  std::string host;        ///< rank 0's
  std::vector<int> ports;  ///< one of them, the first that is free there
  std::string job;  ///< the same for all processes of the run; of other runs as far as the environment tells
};

/// MASTER_ADDR and 16 ports from MASTER_PORT on where they are set, as by torchrun, whose agent listens at
/// MASTER_PORT itself; under Slurm the first host of the step or the job and ports made of the job's id.
/// Ranks of one host always meet on its loopback interface. Otherwise error 69 says what to set.
Result<Rendezvous> rendezvous(const LaunchContext& launch, const GetEnv& get_env = process_environment);
/// Rendezvous::job alone.
std::string job_name(const LaunchContext& launch, const GetEnv& get_env = process_environment);

}  // namespace cornstarch::launch
