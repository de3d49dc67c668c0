#pragma once

#include <filesystem>
#include <string>

#include "cornstarch/base/result.h"
#include "cornstarch/telemetry/metrics.h"

namespace cornstarch::train {

/// A run's folder: config.yaml, plan.json, versions.json, metrics.jsonl, log.txt, model/<modality>/.
class RunFolder {
 public:
  /// Makes the folder. One that holds a run is refused (usage), or with `overwrite` moved aside to
  /// <path>.old-<n>.
  static Result<RunFolder> create(const std::filesystem::path& path, bool overwrite,
                                  const std::string& config_yaml, const std::string& plan_json,
                                  const std::string& versions_json);

  /// Takes up the folder of a run that goes on, or makes it.
  static Result<RunFolder> take_up(const std::filesystem::path& path, const std::string& config_yaml,
                                   const std::string& plan_json, const std::string& versions_json);
  /// The run goes on behind `step`: metrics of later ones are taken out.
  Result<void> go_on_behind(std::int64_t step);

  telemetry::MetricsFile& metrics() { return metrics_; }

 private:
  RunFolder(std::filesystem::path path, telemetry::MetricsFile metrics)
      : path_(std::move(path)), metrics_(std::move(metrics)) {}
  std::filesystem::path path_;
  telemetry::MetricsFile metrics_;
};

}  // namespace cornstarch::train
