#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch::launch {

/// Who started this process and which of how many it is.
struct LaunchContext {
  int rank = 0;
  int world_size = 1;
  int local_rank = 0;
  int local_size = 1;
  std::string source = "alone";       ///< "torchrun", "openmpi", "mpich", "slurm", "alone"
  std::vector<std::string> warnings;  ///< sources that disagree, and which one won
};

using GetEnv = std::function<std::optional<std::string>(const std::string&)>;
std::optional<std::string> process_environment(const std::string& name);  ///< the process's own GetEnv

/// Reads the environments of torchrun, Open MPI, PMI (MPICH/Hydra) and Slurm, in that priority. Slurm counts
/// only inside a step (SLURM_STEP_NUM_TASKS); a job script without srun is error 69 with advice. Values that
/// are no numbers, or a rank outside the world, are error 69.
Result<LaunchContext> detect(const GetEnv& get_env = process_environment);

/// "n[01-03,7],login" -> n01 n02 n03 n7 login (Slurm's host list syntax).
Result<std::vector<std::string>> expand_hostlist(const std::string& text);

}  // namespace cornstarch::launch
