#include <cstdio>

#include "check_data.h"
#include "checks.h"
#include "console.h"
#include "cornstarch/base/text.h"
#include "cornstarch/plan/plan.h"
#include "run_file.h"
#include "verbs.h"

namespace cornstarch::app {

namespace {

constexpr int kSamples = 32;

struct Args {
  RunFile file;
  std::optional<int> world_size;
  std::optional<int> samples;
  bool no_data = false;
  std::string format = "text";
};

/// Every problem goes to `diagnostics`; the code says which kind stopped it.
ExitCode check(const Args& args, Diagnostics& diagnostics) {
  const auto resolved = resolve_run_file(args.file, diagnostics);
  if (!resolved) return ExitCode::usage;
  check_inputs(*resolved, diagnostics);
  if (diagnostics.has_errors()) return ExitCode::usage;
  const ExitCode data =
      args.no_data ? ExitCode::ok : check_data(*resolved, args.samples.value_or(kSamples), diagnostics);
  if (!args.world_size) return data;
  const auto plan = plan::make_plan(resolved->loaded.config, resolved->modalities, *args.world_size);
  if (plan) return data;
  SourceSpan whole_file;
  whole_file.file = args.file.path;
  diagnostics.error("infeasible", plan.error().message, whole_file, plan.error().help);
  return plan.error().code;
}

ExitCode run(const Args& args) {
  if (args.file.path.empty()) return complain(missing_config("validate"));
  Diagnostics diagnostics;
  const ExitCode code = check(args, diagnostics);
  ExitCode printed = ExitCode::ok;
  if (args.format == "json") {
    printed = print_out(render_json(diagnostics));
  } else {
    std::fputs(render_text(diagnostics).c_str(), stderr);
    if (code == ExitCode::ok) printed = print_out(cat(args.file.path, ": valid\n"));
  }
  return code == ExitCode::ok ? printed : code;
}

}  // namespace

Run declare_validate(Options& options) {
  auto args = std::make_shared<Args>();
  declare_run_file(options, args->file);
  options.count("--world-size", args->world_size, "Check that so many ranks can run it, too");
  options.count("--samples", args->samples,
                "Samples of each data set that are read whole: the first ones and some of the others (32)");
  options.flag("--no-data", args->no_data, "Leave the data sets out");
  options.choice("--format", args->format, {"text", "json"}, "Text for people, or JSON on standard output");
  return [args] { return run(*args); };
}

}  // namespace cornstarch::app
