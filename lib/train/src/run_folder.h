#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "cornstarch/base/folder_claim.h"
#include "cornstarch/base/result.h"
#include "cornstarch/telemetry/metrics.h"

namespace cornstarch::train {

/// A run's folder: config.yaml, plan.json, versions.json, metrics.jsonl, log.txt, model/<modality>/, and
/// answers.jsonl where held-out samples are answered. It is the run's own until this object is gone.
class RunFolder {
 public:
  /// Makes the folder. One that another run writes to is refused (usage), so that of several starts at once
  /// one wins; one that holds a run is, too, or with `overwrite` moved aside to <path>.old-<n>.
  static Result<RunFolder> create(const std::filesystem::path& path, bool overwrite,
                                  const std::string& config_yaml, const std::string& plan_json,
                                  const std::string& versions_json);

  /// Takes up the folder of a run that goes on, or makes it.
  static Result<RunFolder> take_up(const std::filesystem::path& path, const std::string& config_yaml,
                                   const std::string& plan_json, const std::string& versions_json);
  /// The run goes on behind `step`: metrics and answers of later ones are taken out.
  Result<void> go_on_behind(std::int64_t step);

  telemetry::MetricsFile& metrics() { return metrics_; }
  /// A line behind those of answers.jsonl, which it makes.
  Result<void> add_answer(std::string line);

 private:
  static Result<RunFolder> fill(std::filesystem::path path, FolderClaim claim, const std::string& config_yaml,
                                const std::string& plan_json, const std::string& versions_json);
  RunFolder(std::filesystem::path path, FolderClaim claim, telemetry::MetricsFile metrics)
      : path_(std::move(path)), claim_(std::move(claim)), metrics_(std::move(metrics)) {}
  std::filesystem::path path_;
  FolderClaim claim_;
  telemetry::MetricsFile metrics_;
  std::optional<telemetry::MetricsFile> answers_;
};

/// That no other run has the folder of its checkpoints (usage), whose newest it would remove; claims nothing.
Result<void> check_checkpoints_free(const std::filesystem::path& dir);
/// The folder for this run alone; it is made if need be. Nothing, and a warning, where it cannot be written:
/// what is saved there says so again.
Result<std::optional<FolderClaim>> claim_checkpoints(const std::filesystem::path& dir);

}  // namespace cornstarch::train
