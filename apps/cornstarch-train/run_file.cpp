#include "run_file.h"

#include "cornstarch/base/text.h"

namespace cornstarch::app {

std::vector<std::string> RunFile::all_overrides() const {
  std::vector<std::string> out = overrides;
  if (!layout.empty()) out.push_back("layout=" + layout);
  return out;
}

void declare_run_file(Options& options, RunFile& file) {
  options.text("--config", file.path, "The run's YAML file", Flag::Takes::file);
  options.list("--set", file.overrides, "Override a key of it, as in model.llm.parallel.tp=2 (repeatable)",
               Flag::Takes::config_key);
  options.choice("--layout", file.layout, {"separate", "single"}, "Short for --set layout=...");
}

std::optional<Resolved> resolve_run_file(const RunFile& file, Diagnostics& diagnostics) {
  auto loaded = config::load(file.path, file.all_overrides(), diagnostics);
  if (!loaded) return std::nullopt;
  auto modalities = catalog::resolve(*loaded, diagnostics);
  if (!modalities || diagnostics.has_errors()) return std::nullopt;
  return Resolved{std::move(*loaded), std::move(*modalities)};
}

Error missing_config(const std::string& verb) {
  return {ExitCode::usage, "--config is missing", cat("see cornstarch-train ", verb, " --help")};
}

}  // namespace cornstarch::app
