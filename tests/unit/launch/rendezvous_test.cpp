#include "cornstarch/launch/rendezvous.h"

#include <map>

#include "catch.h"

using namespace cornstarch;
using namespace cornstarch::launch;

namespace {

using Environment = std::map<std::string, std::string>;

/// "host:port", or the error.
std::string meet(const Environment& environment, int local_size, int world_size) {
  LaunchContext launch;
  launch.world_size = world_size;
  launch.local_size = local_size;
  launch.source = "openmpi";
  const auto where = rendezvous(launch, [&](const std::string& name) -> std::optional<std::string> {
    const auto found = environment.find(name);
    return found == environment.end() ? std::nullopt : std::optional(found->second);
  });
  if (!where) return where.error().message + "\n" + where.error().help;
  return where->host + ":" + std::to_string(where->ports.front());
}

}  // namespace

TEST_CASE("MASTER_ADDR and MASTER_PORT are believed") {
  const Environment given{{"MASTER_ADDR", "n1"}, {"MASTER_PORT", "1234"}, {"SLURM_JOB_NODELIST", "n[5-6]"}};
  CHECK(meet(given, 4, 8) == "n1:1234");
  CHECK(meet(given, 2, 2) == "127.0.0.1:1234");
  CHECK(meet({{"MASTER_ADDR", "n1"}}, 2, 2) ==
        "MASTER_ADDR is set, but MASTER_PORT is not\nset both, the same for every process, or neither");
  CHECK(meet({{"MASTER_ADDR", "n1"}, {"MASTER_PORT", "70000"}}, 2, 2) ==
        "MASTER_PORT='70000' is no port from 1 to 65535\n");
}

TEST_CASE("where torchrun's agent listens nobody else can") {
  Environment torchrun{{"MASTER_ADDR", "n1"},
                       {"MASTER_PORT", "1234"},
                       {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                       {"TORCHELASTIC_RESTART_COUNT", "2"}};
  CHECK(meet(torchrun, 2, 4) == "n1:1235");
  torchrun["TORCHELASTIC_USE_AGENT_STORE"] = "False";
  CHECK(meet(torchrun, 2, 4) == "n1:1234");
}

TEST_CASE("ports follow each other, and runs have names") {
  LaunchContext launch;
  launch.source = "torchrun";
  launch.world_size = 2;
  launch.local_size = 2;
  Environment environment{
      {"MASTER_ADDR", "n1"}, {"MASTER_PORT", "65530"}, {"TORCHELASTIC_RESTART_COUNT", "0"}};
  const GetEnv get_env = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = environment.find(name);
    return found == environment.end() ? std::nullopt : std::optional(found->second);
  };
  const Rendezvous first = value_or_throw(rendezvous(launch, get_env));
  CHECK(first.ports == std::vector<int>{65530, 65531, 65532, 65533, 65534, 65535});
  CHECK(first.job == "MASTER_ADDR=n1 MASTER_PORT=65530 TORCHELASTIC_RESTART_COUNT=0 2 ranks");
  environment["SLURM_STEP_ID"] = "1";  // each host's torchrun may be a step of its own
  CHECK(value_or_throw(rendezvous(launch, get_env)).job == first.job);
  environment["TORCHELASTIC_RESTART_COUNT"] = "1";
  CHECK(value_or_throw(rendezvous(launch, get_env)).job != first.job);
  environment["MASTER_PORT"] = "1000";
  CHECK(value_or_throw(rendezvous(launch, get_env)).ports.size() == 16);
}

TEST_CASE("processes of one host meet there") {
  CHECK(meet({}, 2, 2) == "127.0.0.1:29500");
  const auto first = meet({{"PMIX_NAMESPACE", "1"}}, 2, 2), second = meet({{"PMIX_NAMESPACE", "2"}}, 2, 2);
  CHECK(first.substr(0, 10) == "127.0.0.1:");
  CHECK(first != second);
  CHECK(meet({{"PMIX_NAMESPACE", "1"}}, 2, 2) == first);
}

TEST_CASE("under Slurm the first host is rank 0's, the port the job's") {
  const Environment job{{"SLURM_JOB_ID", "7"}, {"SLURM_JOB_NODELIST", "n[05-08]"}};
  const auto of_job = meet(job, 4, 16);
  CHECK(of_job.substr(0, 4) == "n05:");
  const int port = std::stoi(of_job.substr(4));
  CHECK(port >= 10000);
  CHECK(port < 30000);
  Environment step = job;
  step["SLURM_STEP_NODELIST"] = "n[07-08]";
  step["SLURM_STEP_ID"] = "1";
  const auto of_step = meet(step, 4, 8);
  CHECK(of_step.substr(0, 4) == "n07:");
  CHECK(of_step.substr(4) != of_job.substr(4));
}

TEST_CASE("several hosts and nobody who names the first") {
  CHECK(meet({}, 4, 8) ==
        "the 8 processes are on several hosts, and openmpi does not say where rank 0 is\nset MASTER_ADDR to "
        "rank 0's "
        "host and MASTER_PORT to a port that is free there, the same for every process (mpirun -x "
        "MASTER_ADDR -x "
        "MASTER_PORT)");
}
