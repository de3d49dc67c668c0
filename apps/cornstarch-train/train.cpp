#include <csignal>
#include <cstdio>

#include "checks.h"
#include "console.h"
#include "cornstarch/base/text.h"
#include "cornstarch/launch/host_memory.h"
#include "cornstarch/plan/memory.h"
#include "cornstarch/plan/plan.h"
#include "place.h"
#include "restarts.h"
#include "run_file.h"
#include "verbs.h"
#include "version.h"
#include "worker.h"

namespace cornstarch::app {

namespace {

struct Args {
  RunFile file;
  std::optional<int> local_ranks;
  bool overwrite = false;
  bool quiet = false;
  bool resume = false;
  std::optional<int> restarts;
  std::string trace;
};

using Steps = std::optional<std::pair<int, int>>;

/// "12" or "10..12": steps of the run, from 1. Nothing for "".
Result<Steps> parse_steps(const std::string& text) {
  if (text.empty()) return Steps{};
  const std::size_t dots = text.find("..");
  const std::string first = text.substr(0, dots),
                    last = dots == std::string::npos ? first : text.substr(dots + 2);
  const auto number = [](const std::string& word) {
    const bool digits =
        !word.empty() && word.size() < 10 && word.find_first_not_of("0123456789") == std::string::npos;
    return digits ? std::stoi(word) : 0;
  };
  const std::pair<int, int> steps{number(first), number(last)};
  if (steps.first < 1 || steps.second < steps.first)
    return fail(ExitCode::usage, cat("--trace: '", text, "' is no step and no range of steps"),
                "steps count from 1: --trace 10, or --trace 10..12");
  return Steps{steps};
}

void check_device(const Args& args, const Resolved& resolved, Diagnostics& diagnostics) {
  if (resolved.loaded.config.device != config::Device::cuda) return;
  const auto& where = resolved.loaded.where.at("device");
  if (!built_for_cuda())
    diagnostics.error("unsupported", "this build has no CUDA: it trains on CPUs only", where,
                      "set device to cpu, or build with cmake --preset cuda");
  if (args.local_ranks)
    diagnostics.error(
        "unsupported",
        "--local-ranks makes threads of one process, but device: cuda wants a process for each GPU", where,
        "start the ranks with mpirun, srun or torchrun, or set device to cpu");
}

/// One process where a replica has several ranks: how to start them all.
Error one_of_many(const Args& args, const config::RunConfig& config, int ranks) {
  const std::string command = command_line();
  std::string help = cat("as processes: mpirun -n ", ranks, " ", command);
  if (config.device == config::Device::cpu)
    help += cat("\n        as threads: ", command, " --local-ranks ", ranks);
  if (args.file.layout.empty()) help += cat("\n        on one rank: ", command, " --layout single");
  return {ExitCode::infeasible,
          cat("one process was started, but a replica of this run has ", ranks, " ranks"), help};
}

/// Whether this host has what its ranks hold, before any of them reads a weight: none takes memory until all
/// have met.
Result<void> check_memory(const Resolved& resolved, const plan::Plan& plan, const Place& place) {
  const auto& [loaded, modalities] = resolved;
  const config::RunConfig& config = loaded.config;
  const auto memory = launch::host_memory();
  if (config.device != config::Device::cpu || !memory) return {};
  const int node = plan.ranks[static_cast<std::size_t>(place.rank)].node;
  const plan::HeldBytes held = plan::node_bytes(config, modalities, plan, node);
  if (held.total() <= memory->available) return {};
  auto ways = plan::ways_to_hold_less(config, modalities, plan, node);
  ways.emplace_back("more hosts for the stages and tp of the model");
  return fail(ExitCode::infeasible,
              cat(place.per_node == 1 ? "the rank on this host holds " : "the ranks on this host hold ",
                  plan::describe(held), " before any activation, but ", human_bytes(memory->available),
                  memory->of_a_cgroup ? " are what its control group (a container, a job) leaves"
                                      : " of its memory are available"),
              cat("what would help: ", join(ways, ", ")));
}

struct Prepared {
  Resolved resolved;
  plan::Plan plan;
};

/// Everything that is checked before the worker starts, or what is wrong with it.
Result<Prepared> prepare(const Args& args, const Place& place, const Steps& traced,
                         Diagnostics& diagnostics) {
  RunFile file = args.file;
  if (args.resume) file.overrides.emplace_back("resume=always");
  if (args.quiet) file.overrides.emplace_back("log.level=warning");
  auto resolved = resolve_run_file(file, diagnostics);
  if (resolved) check_device(args, *resolved, diagnostics);
  if (resolved) check_inputs(*resolved, diagnostics);
  if (!resolved || diagnostics.has_errors()) return fail(ExitCode::usage, "");
  const config::RunConfig& config = resolved->loaded.config;
  if (traced && traced->second > config.steps)
    return fail(ExitCode::usage,
                cat("--trace: '", args.trace, "' goes beyond the last step of the run, ", config.steps),
                cat("the run has the steps 1..", config.steps));
  const int ranks = plan::ranks_of_replica(config, resolved->modalities);
  if (args.restarts && !args.local_ranks && place.world_size > 1)
    return fail(
        ExitCode::usage,
        "--restarts starts one process again, but a launcher started several, which ends with them",
        "scripts/keep-running starts the launcher again; under Slurm, scripts/slurm/train.sbatch does");
  if (place.world_size == 1 && ranks > 1 && !args.local_ranks)
    return tl::unexpected(one_of_many(args, config, ranks));
  auto plan = plan::make_plan(config, resolved->modalities, place.world_size, place.per_node);
  if (!plan) return tl::unexpected(plan.error());
  return Prepared{std::move(*resolved), std::move(*plan)};
}

ExitCode run(const Args& args) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader who goes away ends no training; the worker inherits it
  const auto place = find_place(args.local_ranks);
  if (!place) return complain(place.error());
  const bool speaks = place->rank == 0;
  const auto traced = parse_steps(args.trace);
  if (!traced) return speaks ? complain(traced.error()) : ExitCode::usage;
  if (args.file.path.empty()) return speaks ? complain(missing_config("train")) : ExitCode::usage;

  Diagnostics diagnostics;
  const auto prepared = prepare(args, *place, *traced, diagnostics);
  const std::string said = speaks ? render_text(diagnostics) : "";
  std::fputs(said.c_str(), stderr);
  if (!prepared) {
    const Error& error = prepared.error();
    return speaks && !error.message.empty() ? complain(error) : error.code;
  }
  const auto& [resolved, plan] = *prepared;
  if (const auto enough = check_memory(resolved, plan, *place); !enough)
    return place->rank_on_node == 0 ? complain(enough.error()) : enough.error().code;
  WorkerStart start{config::dump(resolved.loaded.config), said, args.local_ranks, args.overwrite, *traced};
  if (args.restarts)
    return static_cast<ExitCode>(run_with_restarts(start, resolved.loaded.config, *args.restarts));
  return complain(become_worker(start));
}

}  // namespace

Run declare_train(Options& options) {
  auto args = std::make_shared<Args>();
  declare_run_file(options, args->file);
  options.count("--local-ranks", args->local_ranks, "Run so many ranks as threads of this process");
  options.text("--trace", args->trace, "Write the timelines of these steps (10 or 10..12) to trace.json");
  options.flag("--overwrite", args->overwrite, "Move the run that the run folder holds aside");
  options.flag("--resume", args->resume, "Go on from the newest checkpoint of the run");
  options.count(
      "--restarts", args->restarts,
      "Start again after a fault, from the newest checkpoint, up to so many times without a newer one");
  options.flag("--quiet", args->quiet, "Short for --set log.level=warning");
  return [args] { return run(*args); };
}

}  // namespace cornstarch::app
