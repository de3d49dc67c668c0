#include "cornstarch/launch/rendezvous.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>

#include "cornstarch/base/text.h"

namespace cornstarch::launch {
namespace {

constexpr int kDefaultPort = 29500;  // torchrun's
constexpr int kPorts = 16;
constexpr const char* kLoopback = "127.0.0.1";

Result<int> port_number(const std::string& text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error == std::errc() && end == text.data() + text.size() && port > 0 && port < 65536) return port;
  return fail(ExitCode::launch, cat("MASTER_PORT='", text, "' is no port from 1 to 65535"));
}

/// The same for all processes of a job, and seldom another job's: below the range that systems hand out.
int port_of(const std::string& job) {
  unsigned hash = 2166136261u;  // FNV-1a
  for (const char c : job) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return 10000 + static_cast<int>(hash % 20000u);
}

std::string named(const GetEnv& get_env, std::initializer_list<const char*> names) {
  std::string text;
  for (const char* name : names)
    if (const auto value = get_env(name)) text += cat(name, "=", *value, " ");
  return text;
}

/// What tells this job from others that may run on its first host.
std::string job_id(const GetEnv& get_env) {
  return named(get_env, {"SLURM_JOB_ID", "SLURM_STEP_ID", "OMPI_MCA_ess_base_jobid", "PMIX_NAMESPACE"});
}

std::vector<int> ports_from(int first) {
  std::vector<int> ports;
  for (int port = first; port < std::min(first + kPorts, 65536); ++port) ports.push_back(port);
  return ports;
}

int port_of_job(const GetEnv& get_env) {
  const std::string id = job_id(get_env);
  return id.empty() ? kDefaultPort : port_of(id);
}

std::optional<std::string> slurm_hosts(const GetEnv& get_env) {
  const auto step = get_env("SLURM_STEP_NODELIST");
  return step ? step : get_env("SLURM_JOB_NODELIST");
}

/// torchrun's agent listens at MASTER_PORT itself.
Result<std::vector<int>> ports_as_told(const std::string& port, const GetEnv& get_env) {
  const auto number = port_number(port);
  if (!number) return tl::unexpected(number.error());
  const bool taken = get_env("TORCHELASTIC_USE_AGENT_STORE") == std::string("True");
  return ports_from(taken ? *number % 65535 + 1 : *number);
}

}  // namespace

/// What all processes of the run are told, by the launcher that started them: what another around it says (a
/// step of Slurm's for each host's torchrun) may differ from host to host. torchrun starts the processes of a
/// job again.
std::string job_name(const LaunchContext& launch, const GetEnv& get_env) {
  std::string id = named(get_env, {"MASTER_ADDR", "MASTER_PORT"});
  if (launch.source == "torchrun")
    id += named(get_env, {"TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"});
  if (launch.source == "openmpi") id += named(get_env, {"OMPI_MCA_ess_base_jobid", "PMIX_NAMESPACE"});
  if (launch.source == "slurm") id += named(get_env, {"SLURM_JOB_ID", "SLURM_STEP_ID"});
  return cat(id, launch.world_size, " ranks");
}

Result<Rendezvous> rendezvous(const LaunchContext& launch, const GetEnv& get_env) {
  const auto host = get_env("MASTER_ADDR"), port = get_env("MASTER_PORT");
  const std::string run = job_name(launch, get_env);
  const bool one_host = launch.local_size == launch.world_size;
  if (host && port) {
    auto ports = ports_as_told(*port, get_env);
    if (!ports) return tl::unexpected(ports.error());
    return Rendezvous{one_host ? kLoopback : *host, std::move(*ports), run};
  }
  if (host || port)
    return fail(ExitCode::launch,
                cat(host ? "MASTER_ADDR" : "MASTER_PORT", " is set, but ",
                    host ? "MASTER_PORT" : "MASTER_ADDR", " is not"),
                "set both, the same for every process, or neither");
  const auto ports = ports_from(port_of_job(get_env));
  if (one_host) return Rendezvous{kLoopback, ports, run};
  if (const auto list = slurm_hosts(get_env)) {
    const auto hosts = expand_hostlist(*list);
    if (!hosts) return tl::unexpected(hosts.error());
    return Rendezvous{hosts->front(), ports, run};
  }
  return fail(
      ExitCode::launch,
      cat("the ", launch.world_size, " processes are on several hosts, and ", launch.source,
          " does not say where rank 0 is"),
      "set MASTER_ADDR to rank 0's host and MASTER_PORT to a port that is free there, the same for every "
      "process (mpirun -x MASTER_ADDR -x MASTER_PORT)");
}

}  // namespace cornstarch::launch
