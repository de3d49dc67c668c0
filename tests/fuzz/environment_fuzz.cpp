#include <map>

#include "cornstarch/launch/environment.h"
#include "cornstarch/launch/rendezvous.h"
#include "input.h"

/// Any environment says which rank of how many this is, or is refused.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cornstarch;
  static const char* const names[] = {"RANK",
                                      "WORLD_SIZE",
                                      "LOCAL_RANK",
                                      "LOCAL_WORLD_SIZE",
                                      "MASTER_ADDR",
                                      "MASTER_PORT",
                                      "OMPI_COMM_WORLD_RANK",
                                      "OMPI_COMM_WORLD_SIZE",
                                      "OMPI_COMM_WORLD_LOCAL_RANK",
                                      "OMPI_COMM_WORLD_LOCAL_SIZE",
                                      "PMI_RANK",
                                      "PMI_SIZE",
                                      "MPI_LOCALRANKID",
                                      "MPI_LOCALNRANKS",
                                      "SLURM_PROCID",
                                      "SLURM_NTASKS",
                                      "SLURM_LOCALID",
                                      "SLURM_STEP_NUM_TASKS",
                                      "SLURM_STEP_TASKS_PER_NODE",
                                      "SLURM_JOB_ID",
                                      "SLURM_STEP_ID",
                                      "SLURM_STEP_NODELIST",
                                      "SLURM_NODEID",
                                      "SLURM_JOB_NODELIST",
                                      "SLURM_JOB_NUM_NODES",
                                      "TORCHELASTIC_USE_AGENT_STORE",
                                      "TORCHELASTIC_RESTART_COUNT"};
  fuzz::Input input(data, size);
  std::map<std::string, std::string> variables;
  while (!input.empty()) {
    const std::size_t name = input.below(std::size(names));
    variables[names[name]] = input.yes() ? std::to_string(input.below(8)) : std::string(input.word());
  }
  const launch::GetEnv get_env = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
  const auto context = launch::detect(get_env);
  if (!context) return 0;
  fuzz::require(0 <= context->rank && context->rank < context->world_size);
  fuzz::require(0 <= context->local_rank && context->local_rank < context->local_size);
  const auto meeting = launch::rendezvous(*context, get_env);
  fuzz::require(!meeting || !meeting->ports.empty());
  for (std::size_t n = 0; meeting && n < meeting->ports.size(); ++n)
    fuzz::require(1 <= meeting->ports[n] && meeting->ports[n] <= 65535);
  return 0;
}
