#include "cornstarch/launch/environment.h"

#include <array>
#include <charconv>
#include <cstdlib>

#include "cornstarch/base/text.h"

namespace cornstarch::launch {
namespace {

/// How one launcher spells what it tells its processes.
struct Source {
  const char* id;
  const char* name;
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
};

// In order of priority: a launcher inside a Slurm job knows more than Slurm, which leaves SLURM_PROCID=0 on
// every rank of Open MPI's mpirun, and which Hydra's helper makes believe to be a step of one task.
constexpr std::array<Source, 4> kSources{{
    {"torchrun", "torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    {"openmpi", "Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"mpich", "PMI", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    {"slurm", "Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", nullptr},
}};

std::optional<int> parse_int(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

Result<int> number(const GetEnv& get_env, const Source& source, const char* name) {
  const auto text = get_env(name);
  if (!text) {
    return fail(ExitCode::launch, cat(source.name, " did not set ", name, " beside its other variables"),
                cat("unset ", source.rank, " and ", source.size, " to run as one process"));
  }
  if (const auto value = parse_int(*text)) return *value;
  return fail(ExitCode::launch, cat(name, "='", *text, "' (", source.name, ") is no number from 0 up"));
}

/// Slurm's "2(x3),1": the count of the given node.
std::optional<int> tasks_on_node(const std::string& text, int node) {
  for (const std::string& item : split(text, ',')) {
    const auto open = item.find("(x");
    const auto count = parse_int(std::string_view(item).substr(0, open));
    const auto repeat = open == std::string::npos
                            ? 1
                            : parse_int(std::string_view(item).substr(open + 2, item.size() - open - 3));
    if (!count || !repeat) return std::nullopt;
    if (node < *repeat) return count;
    node -= *repeat;
  }
  return std::nullopt;
}

std::optional<int> optional_number(const GetEnv& get_env, const char* name) {
  const auto text = name ? get_env(name) : std::nullopt;
  return text ? parse_int(*text) : std::nullopt;
}

std::optional<int> slurm_local_size(const GetEnv& get_env) {
  const auto tasks = get_env("SLURM_STEP_TASKS_PER_NODE");
  const auto node = optional_number(get_env, "SLURM_NODEID");
  return tasks && node ? tasks_on_node(*tasks, *node) : std::nullopt;
}

/// Which rank of its node this is. `srun --mpi=pmi2` sets PMI's ranks but leaves the node to Slurm's
/// variables.
void read_local(const GetEnv& get_env, const Source& source, LaunchContext& context) {
  const bool in_step = get_env("SLURM_STEP_NUM_TASKS") == std::to_string(context.world_size);
  const bool ask_slurm = source.id == std::string("slurm") || (source.id == std::string("mpich") && in_step);
  auto rank = optional_number(get_env, source.local_rank);
  auto size = optional_number(get_env, source.local_size);
  if (ask_slurm && !rank) rank = optional_number(get_env, "SLURM_LOCALID");
  if (ask_slurm && !size) size = slurm_local_size(get_env);
  if (rank && size && *rank < *size && *size <= context.world_size) {
    context.local_rank = *rank;
    context.local_size = *size;
    return;
  }
  context.local_rank = context.rank;
  context.local_size = context.world_size;
  if (context.world_size > 1) {
    context.warnings.push_back(cat(source.name, " does not say which ranks share a node; all ",
                                   context.world_size, " are taken to be on one"));
  }
}

bool present(const GetEnv& get_env, const Source& source) {
  // Outside a step Slurm sets SLURM_PROCID=0 for the job script alone.
  if (source.id == std::string("slurm")) return get_env(source.size).has_value();
  return get_env(source.rank) || get_env(source.size);
}

Result<LaunchContext> read(const GetEnv& get_env, const Source& source) {
  const auto size = number(get_env, source, source.size);
  if (!size) return tl::unexpected(size.error());
  const auto rank = number(get_env, source, source.rank);
  if (!rank) return tl::unexpected(rank.error());
  if (*rank >= *size) {
    return fail(ExitCode::launch,
                cat(source.rank, "=", *rank, " is outside the world of ", source.size, "=", *size, " (",
                    source.name, ")"),
                "ranks count from 0");
  }
  LaunchContext context;
  context.rank = *rank;
  context.world_size = *size;
  context.source = source.id;
  return context;
}

/// A job script that was not started through srun: waiting for the other tasks would take forever.
Result<LaunchContext> without_launcher(const GetEnv& get_env) {
  const bool in_job = get_env("SLURM_JOB_ID") || get_env("SLURM_PROCID");
  auto tasks = optional_number(get_env, "SLURM_NTASKS");
  if (!tasks) tasks = optional_number(get_env, "SLURM_JOB_NUM_NODES");
  if (in_job && tasks.value_or(1) > 1) {
    return fail(ExitCode::launch,
                cat("this is a Slurm job of ", *tasks,
                    " tasks, but this process is no task of it: it was started without srun"),
                "run it through srun, as in: srun --mpi=pmix cornstarch-train --config run.yaml");
  }
  return LaunchContext{};
}

}  // namespace

Result<LaunchContext> detect(const GetEnv& get_env) {
  std::optional<LaunchContext> chosen;
  const Source* winner = nullptr;
  for (const Source& source : kSources) {
    if (!present(get_env, source)) continue;
    const auto context = read(get_env, source);
    if (!chosen) {
      if (!context) return context;
      chosen = *context;
      winner = &source;
      read_local(get_env, source, *chosen);
    } else if (context && (context->rank != chosen->rank || context->world_size != chosen->world_size)) {
      chosen->warnings.push_back(cat(source.name, " says rank ", context->rank, " of ", context->world_size,
                                     ", ", winner->name, " says rank ", chosen->rank, " of ",
                                     chosen->world_size, "; ", winner->name, " is believed"));
    }
  }
  if (chosen) return *chosen;
  return without_launcher(get_env);
}

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

}  // namespace cornstarch::launch
