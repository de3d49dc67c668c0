#pragma once

#include <filesystem>
#include <string>

#include "cornstarch/base/folder_claim.h"
#include "cornstarch/base/result.h"
#include "cornstarch/telemetry/metrics.h"

namespace cornstarch::train {

/// A run's folder: config.yaml, plan.json, versions.json, metrics.jsonl, log.txt, model/<modality>/. It is
/// the run's own until this object is gone.
class RunFolder {
 public:
  /// Makes the folder. One that another run writes to is refused (usage), so that of several starts at once
  /// one wins; one that holds a run is, too, or with `overwrite` moved aside to <path>.old-<n>.
  static Result<RunFolder> create(const std::filesystem::path& path, bool overwrite,
                                  const std::string& config_yaml, const std::string& plan_json,
                                  const std::string& versions_json);

  telemetry::MetricsFile& metrics() { return metrics_; }

 private:
  RunFolder(FolderClaim claim, telemetry::MetricsFile metrics)
      : claim_(std::move(claim)), metrics_(std::move(metrics)) {}
  FolderClaim claim_;
  telemetry::MetricsFile metrics_;
};

}  // namespace cornstarch::train
