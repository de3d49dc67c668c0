#include "cornstarch/launch/environment.h"

#include <map>

#include "catch.h"

using namespace cornstarch;
using namespace cornstarch::launch;

namespace {

using Environment = std::map<std::string, std::string>;

Result<LaunchContext> detect_in(const Environment& environment) {
  return detect([&](const std::string& name) -> std::optional<std::string> {
    const auto found = environment.find(name);
    return found == environment.end() ? std::nullopt : std::optional(found->second);
  });
}

/// "source rank/size local/local_size"
std::string shown(const Result<LaunchContext>& context) {
  if (!context) return context.error().message;
  return context->source + " " + std::to_string(context->rank) + "/" + std::to_string(context->world_size) +
         " " + std::to_string(context->local_rank) + "/" + std::to_string(context->local_size);
}

const Environment kTorchrun{{"RANK", "5"},
                            {"WORLD_SIZE", "8"},
                            {"LOCAL_RANK", "1"},
                            {"LOCAL_WORLD_SIZE", "4"},
                            {"MASTER_ADDR", "n1"}};
const Environment kOpenMpi{{"OMPI_COMM_WORLD_RANK", "3"},
                           {"OMPI_COMM_WORLD_SIZE", "6"},
                           {"OMPI_COMM_WORLD_LOCAL_RANK", "0"},
                           {"OMPI_COMM_WORLD_LOCAL_SIZE", "3"},
                           {"PMIX_RANK", "3"}};
const Environment kHydra{
    {"PMI_RANK", "2"}, {"PMI_SIZE", "4"}, {"MPI_LOCALRANKID", "2"}, {"MPI_LOCALNRANKS", "4"}};
const Environment kSrun{{"SLURM_JOB_ID", "7"},  {"SLURM_NTASKS", "7"},
                        {"SLURM_PROCID", "6"},  {"SLURM_STEP_NUM_TASKS", "7"},
                        {"SLURM_LOCALID", "0"}, {"SLURM_NODEID", "3"},
                        {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_TASKS_PER_NODE", "2(x3),1"}};

Environment both(Environment a, const Environment& b) {
  a.insert(b.begin(), b.end());
  return a;
}

}  // namespace

TEST_CASE("without a launcher a process is alone") {
  const auto context = detect_in({{"PATH", "/bin"}, {"MASTER_ADDR", "n1"}, {"PMIX_RANK", "3"}});
  REQUIRE(shown(context) == "alone 0/1 0/1");
  REQUIRE(context->warnings.empty());
}

TEST_CASE("each launcher is understood") {
  REQUIRE(shown(detect_in(kTorchrun)) == "torchrun 5/8 1/4");
  REQUIRE(shown(detect_in(kOpenMpi)) == "openmpi 3/6 0/3");
  REQUIRE(shown(detect_in(kHydra)) == "mpich 2/4 2/4");
  REQUIRE(shown(detect_in(kSrun)) == "slurm 6/7 0/1");
  for (const auto& environment : {kTorchrun, kOpenMpi, kHydra, kSrun}) {
    REQUIRE(detect_in(environment)->warnings.empty());
  }
}

TEST_CASE("srun --mpi=pmi2 sets PMI's ranks and leaves the node to Slurm") {
  auto environment = kSrun;
  environment["PMI_RANK"] = "6";
  environment["PMI_SIZE"] = "7";
  environment["SLURM_NODEID"] = "2";
  environment["SLURM_LOCALID"] = "1";
  const auto context = detect_in(environment);
  REQUIRE(shown(context) == "mpich 6/7 1/2");
  REQUIRE(context->warnings.empty());
}

TEST_CASE("a job script without srun is told so") {
  const auto script = detect_in({{"SLURM_JOB_ID", "7"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "2"}});
  REQUIRE_FALSE(script.has_value());
  REQUIRE(script.error().code == ExitCode::launch);
  REQUIRE(script.error().message ==
          "this is a Slurm job of 2 tasks, but this process is no task of it: it was started without srun");
  REQUIRE(script.error().help ==
          "run it through srun, as in: srun --mpi=pmix cornstarch-train --config run.yaml");
  REQUIRE(shown(detect_in({{"SLURM_JOB_ID", "7"}, {"SLURM_PROCID", "0"}, {"SLURM_JOB_NUM_NODES", "3"}})) ==
          "this is a Slurm job of 3 tasks, but this process is no task of it: it was started without srun");
  REQUIRE(shown(detect_in({{"SLURM_JOB_ID", "7"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "1"}})) ==
          "alone 0/1 0/1");
}

TEST_CASE("Open MPI's mpirun in a Slurm job, where every rank has SLURM_PROCID=0") {
  const auto context =
      detect_in(both(kOpenMpi, {{"SLURM_JOB_ID", "7"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "6"}}));
  REQUIRE(shown(context) == "openmpi 3/6 0/3");
  REQUIRE(context->warnings.empty());
}

TEST_CASE("Hydra in a Slurm job, whose helper is a step of one task") {
  const auto context = detect_in(both(kHydra, {{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}}));
  REQUIRE(shown(context) == "mpich 2/4 2/4");
  REQUIRE(context->warnings ==
          std::vector<std::string>{"Slurm says rank 0 of 1, PMI says rank 2 of 4; PMI is believed"});
}

TEST_CASE("where sources disagree the order is torchrun, Open MPI, PMI, Slurm") {
  const auto context = detect_in(both(both(kTorchrun, kOpenMpi), both(kHydra, kSrun)));
  REQUIRE(shown(context) == "torchrun 5/8 1/4");
  REQUIRE(
      context->warnings ==
      std::vector<std::string>{"Open MPI says rank 3 of 6, torchrun says rank 5 of 8; torchrun is believed",
                               "PMI says rank 2 of 4, torchrun says rank 5 of 8; torchrun is believed",
                               "Slurm says rank 6 of 7, torchrun says rank 5 of 8; torchrun is believed"});
  REQUIRE(shown(detect_in(both(kOpenMpi, both(kHydra, kSrun)))) == "openmpi 3/6 0/3");
  REQUIRE(shown(detect_in(both(kHydra, kSrun))) == "mpich 2/4 2/4");
}

TEST_CASE("a launcher that does not say what shares a node") {
  const auto context = detect_in({{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}});
  REQUIRE(shown(context) == "mpich 1/2 1/2");
  REQUIRE(
      context->warnings ==
      std::vector<std::string>{"PMI does not say which ranks share a node; all 2 are taken to be on one"});
}

TEST_CASE("values that cannot be are refused") {
  const auto message = [](const Environment& environment) {
    const auto context = detect_in(environment);
    REQUIRE_FALSE(context.has_value());
    REQUIRE(context.error().code == ExitCode::launch);
    return context.error().message;
  };
  REQUIRE(message({{"RANK", "two"}, {"WORLD_SIZE", "4"}}) == "RANK='two' (torchrun) is no number from 0 up");
  REQUIRE(message({{"RANK", "0"}, {"WORLD_SIZE", "4x"}}) ==
          "WORLD_SIZE='4x' (torchrun) is no number from 0 up");
  REQUIRE(message({{"RANK", "-1"}, {"WORLD_SIZE", "4"}}) == "RANK='-1' (torchrun) is no number from 0 up");
  REQUIRE(message({{"RANK", ""}, {"WORLD_SIZE", "4"}}) == "RANK='' (torchrun) is no number from 0 up");
  REQUIRE(message({{"RANK", "0"}, {"WORLD_SIZE", "99999999999"}}) ==
          "WORLD_SIZE='99999999999' (torchrun) is no number from 0 up");
  REQUIRE(message({{"OMPI_COMM_WORLD_RANK", "4"}, {"OMPI_COMM_WORLD_SIZE", "4"}}) ==
          "OMPI_COMM_WORLD_RANK=4 is outside the world of OMPI_COMM_WORLD_SIZE=4 (Open MPI)");
  REQUIRE(message({{"PMI_RANK", "0"}, {"PMI_SIZE", "0"}}) ==
          "PMI_RANK=0 is outside the world of PMI_SIZE=0 (PMI)");
  REQUIRE(message({{"WORLD_SIZE", "4"}}) == "torchrun did not set RANK beside its other variables");
  REQUIRE(message({{"SLURM_STEP_NUM_TASKS", "4"}}) ==
          "Slurm did not set SLURM_PROCID beside its other variables");
  REQUIRE(detect_in({{"WORLD_SIZE", "4"}}).error().help == "unset RANK and WORLD_SIZE to run as one process");
}

TEST_CASE("the process's own environment is read") {
  setenv("RANK", "1", 1);
  setenv("WORLD_SIZE", "3", 1);
  const auto context = detect();
  unsetenv("RANK");
  unsetenv("WORLD_SIZE");
  REQUIRE(shown(context) == "torchrun 1/3 1/3");
}
