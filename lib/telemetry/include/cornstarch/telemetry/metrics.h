#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch::telemetry {

/// Where the time of a stage's ranks went in a step: means over them, in seconds; see telemetry::Activity.
struct StageTime {
  std::string stage;  ///< "llm stage 1"
  double compute_s = 0, bubble_s = 0, communication_s = 0;
  double peak_memory_bytes = 0;  ///< so far: of the process, or on a GPU of its allocator
};

/// What one optimizer step measured.
struct StepRecord {
  std::int64_t step = 0;  ///< from 1
  double loss = 0, grad_norm = 0, lr = 0;
  std::int64_t tokens = 0;         ///< without padding, after placeholders are expanded
  std::int64_t target_tokens = 0;  ///< the ones that the loss counts
  double step_time_s = 0, tokens_per_s = 0;
  double model_flops = 0;                 ///< plan::StepFlops::masked
  double model_flops_full_attention = 0;  ///< plan::StepFlops::full_attention
  /// Model FLOPs utilisation: those operations a second over what the GPUs could do; where their peak is
  /// known.
  std::optional<double> mfu = {}, mfu_full_attention = {};
  std::vector<StageTime> previous_step = {};  ///< of the step before this one; empty in the first
  std::int64_t skipped_samples = 0;           ///< written only if there are any
  bool left_out = false;  ///< nothing was learnt: loss or gradients were not finite, or the loss was a spike
                          ///< that is skipped; written only if so
  bool spike = false;     ///< the loss was out of line; written only if so
  std::int64_t cut_recordings = 0;  ///< longer than their encoder takes; written only if there are any
  std::int64_t cut_texts = 0;       ///< samples longer than a row; the same
};

/// What one pass over the held-out samples measured.
struct EvalRecord {
  std::int64_t step = 0;  ///< after this step
  double loss = 0;
  double accuracy = 0;  ///< share of samples whose answer was right, 0..1
  std::int64_t samples = 0;
};

using WallTime = std::chrono::system_clock::time_point;

/// One line of metrics.jsonl, without its newline: the keys in a fixed order, doubles with as many digits as
/// it takes to read the same value back, the time in UTC ("2026-11-27T14:50:52.123Z"). JSON has no NaN or
/// infinity: those become null.
std::string to_json_line(const StepRecord& record, WallTime time);
std::string to_json_line(const EvalRecord& record, WallTime time);

/// metrics.jsonl, the truth about a run, or another file of lines that each have a `step`. Every line reaches
/// the kernel before write() returns, so that a reader can follow the file and a crash of the process loses
/// nothing; its end syncs the file. Appends; a line that a crash or a full disk cut short is closed first. A
/// line that went into a file that is no longer there under its name is an error, too.
class MetricsFile {
 public:
  static Result<MetricsFile> open(const std::filesystem::path& path);
  /// Opens it for a run that goes on behind `step`: lines of later steps, of which that run will have its
  /// own, are taken out.
  static Result<MetricsFile> open_behind(const std::filesystem::path& path, std::int64_t step);
  MetricsFile(MetricsFile&& other) noexcept;
  MetricsFile& operator=(MetricsFile&& other) noexcept;
  ~MetricsFile();

  template <typename Record>
  Result<void> write(const Record& record) {
    return append(to_json_line(record, std::chrono::system_clock::now()));
  }
  /// A line that is made already, without its newline.
  Result<void> append(std::string line);

 private:
  MetricsFile(std::filesystem::path path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  bool lost() const;

  std::filesystem::path path_;
  int descriptor_ = -1;
  bool cut_short_ = false;  ///< a part of a line may stand at the end
};

}  // namespace cornstarch::telemetry
