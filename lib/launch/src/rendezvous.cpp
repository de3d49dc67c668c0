#include "cornstarch/launch/rendezvous.h"

#include <charconv>
#include <cstdlib>

#include "cornstarch/base/text.h"

namespace cornstarch::launch {
namespace {

constexpr int kDefaultPort = 29500;  // torchrun's

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

/// What tells this job from others that may run on its first host.
std::string job_id(const GetEnv& get_env) {
  std::string id;
  for (const char* name : {"SLURM_JOB_ID", "SLURM_STEP_ID", "OMPI_MCA_ess_base_jobid", "PMIX_NAMESPACE"})
    if (const auto value = get_env(name)) id += cat(name, "=", *value, " ");
  return id;
}

int port_of_job(const GetEnv& get_env) {
  const std::string id = job_id(get_env);
  return id.empty() ? kDefaultPort : port_of(id);
}

std::optional<std::string> slurm_hosts(const GetEnv& get_env) {
  const auto step = get_env("SLURM_STEP_NODELIST");
  return step ? step : get_env("SLURM_JOB_NODELIST");
}

Result<Rendezvous> as_told(const std::string& host, const std::string& port, const GetEnv& get_env) {
  const auto number = port_number(port);
  if (!number) return tl::unexpected(number.error());
  Rendezvous out{host, *number, false, ""};
  // torchrun's agent serves the store, and keeps it when it starts the processes again.
  out.served = get_env("TORCHELASTIC_USE_AGENT_STORE") == std::string("True");
  if (out.served) out.prefix = cat("/attempt_", get_env("TORCHELASTIC_RESTART_COUNT").value_or("0"), "/");
  return out;
}

}  // namespace

Result<Rendezvous> rendezvous(const LaunchContext& launch, const GetEnv& get_env) {
  const auto host = get_env("MASTER_ADDR"), port = get_env("MASTER_PORT");
  if (host && port) return as_told(*host, *port, get_env);
  if (host || port)
    return fail(ExitCode::launch,
                cat(host ? "MASTER_ADDR" : "MASTER_PORT", " is set, but ",
                    host ? "MASTER_PORT" : "MASTER_ADDR", " is not"),
                "set both, the same for every process, or neither");
  const int chosen = port_of_job(get_env);
  if (launch.local_size == launch.world_size) return Rendezvous{"127.0.0.1", chosen, false, ""};
  if (const auto list = slurm_hosts(get_env)) {
    const auto hosts = expand_hostlist(*list);
    if (!hosts) return tl::unexpected(hosts.error());
    return Rendezvous{hosts->front(), chosen, false, ""};
  }
  return fail(
      ExitCode::launch,
      cat("the ", launch.world_size, " processes are on several hosts, and ", launch.source,
          " does not say where rank 0 is"),
      "set MASTER_ADDR to rank 0's host and MASTER_PORT to a port that is free there, the same for every "
      "process (mpirun -x MASTER_ADDR -x MASTER_PORT)");
}

Result<Rendezvous> rendezvous(const LaunchContext& launch) {
  return rendezvous(launch, [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  });
}

}  // namespace cornstarch::launch
