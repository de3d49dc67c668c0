#include "run_folder.h"

#include <utility>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"

namespace cornstarch::train {
namespace fs = std::filesystem;
namespace {

bool holds_run(const fs::path& path) {
  return fs::exists(path / "metrics.jsonl") || fs::exists(path / "plan.json") ||
         fs::exists(path / "config.yaml");
}

fs::path free_name(const fs::path& path) {
  for (int n = 1;; ++n) {
    fs::path candidate = path;
    candidate += cat(".old-", n);
    if (!fs::exists(candidate)) return candidate;
  }
}

}  // namespace

Result<RunFolder> RunFolder::create(const fs::path& given, bool overwrite, const std::string& config_yaml,
                                    const std::string& plan_json, const std::string& versions_json) {
  fs::path path = fs::absolute(given).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "runs/demo/"
  try {
    if (holds_run(path)) {
      if (!overwrite)
        return fail(ExitCode::usage, cat("the run folder '", path.string(), "' already holds a run"),
                    "pass --overwrite to move the old run aside, or --set run_dir=... for another folder");
      fs::rename(path, free_name(path));
    }
  } catch (const fs::filesystem_error& e) {
    return fail(ExitCode::io, cat("cannot make the run folder: ", e.what()));
  }
  return take_up(path, config_yaml, plan_json, versions_json);
}

Result<RunFolder> RunFolder::take_up(const fs::path& path, const std::string& config_yaml,
                                     const std::string& plan_json, const std::string& versions_json) {
  std::error_code error;
  fs::create_directories(path / "model", error);
  if (error) return fail(ExitCode::io, cat("cannot make the run folder: ", error.message()));
  for (const auto& [name, content] :
       {std::pair{"config.yaml", &config_yaml}, std::pair{"plan.json", &plan_json},
        std::pair{"versions.json", &versions_json}})
    if (auto w = write_file_atomically(path / name, *content); !w) return tl::unexpected(w.error());
  auto metrics = telemetry::MetricsFile::open(path / "metrics.jsonl");
  if (!metrics) return tl::unexpected(metrics.error());
  return RunFolder(path, std::move(*metrics));
}

Result<void> RunFolder::go_on_behind(std::int64_t step) {
  auto metrics = telemetry::MetricsFile::open_behind(path_ / "metrics.jsonl", step);
  if (!metrics) return tl::unexpected(metrics.error());
  metrics_ = std::move(*metrics);
  return {};
}

}  // namespace cornstarch::train
