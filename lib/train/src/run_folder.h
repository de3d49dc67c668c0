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

  telemetry::MetricsFile& metrics() { return metrics_; }

 private:
  explicit RunFolder(telemetry::MetricsFile metrics) : metrics_(std::move(metrics)) {}
  telemetry::MetricsFile metrics_;
};

}  // namespace cornstarch::train
