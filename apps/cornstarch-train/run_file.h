#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cornstarch/base/diagnostics.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/config/load.h"
#include "options.h"

namespace cornstarch::app {

/// The options by which a verb is told its config.
struct RunFile {
  std::string path;
  std::vector<std::string> overrides;
  std::string layout;

  /// --set values, then --layout as one.
  std::vector<std::string> all_overrides() const;
};

void declare_run_file(Options& options, RunFile& file);

/// A config that holds together with its model families.
struct Resolved {
  config::Loaded loaded;
  catalog::Modalities modalities;
};

/// Loads and resolves; nothing if there is an error among the `diagnostics`.
std::optional<Resolved> resolve_run_file(const RunFile& file, Diagnostics& diagnostics);

/// The error of a verb that was not given --config.
Error missing_config(const std::string& verb);

}  // namespace cornstarch::app
