#include "cornstarch/plan/plan.h"

#include <cstdio>

#include "console.h"
#include "run_file.h"
#include "verbs.h"

namespace cornstarch::app {

namespace {

struct Args {
  RunFile file;
  std::optional<int> world_size;
  std::optional<int> gpus_per_node;
  std::string format = "table";
};

ExitCode run(const Args& args) {
  if (args.file.path.empty()) return complain(missing_config("plan"));
  if (!args.world_size) {
    return complain({ExitCode::usage, "--world-size is missing: the number of ranks to plan for",
                     "see cornstarch-train plan --help"});
  }
  Diagnostics diagnostics;
  const auto resolved = resolve_run_file(args.file, diagnostics);
  std::fputs(render_text(diagnostics).c_str(), stderr);
  if (!resolved) return ExitCode::usage;
  const auto plan = plan::make_plan(resolved->loaded.config, resolved->modalities, *args.world_size,
                                    args.gpus_per_node.value_or(8));
  if (!plan) return complain(plan.error());
  return print_out(args.format == "json" ? plan::to_json(*plan, resolved->modalities)
                                         : plan::to_table(*plan, resolved->modalities, columns()));
}

}  // namespace

Run declare_plan(Options& options) {
  auto args = std::make_shared<Args>();
  declare_run_file(options, args->file);
  options.count("--world-size", args->world_size, "The number of ranks");
  options.count("--gpus-per-node", args->gpus_per_node, "Ranks that share a node (8)");
  options.choice("--format", args->format, {"table", "json"}, "A picture for people, or JSON");
  return [args] { return run(*args); };
}

}  // namespace cornstarch::app
