#include "cornstarch/telemetry/metrics.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"

namespace cornstarch::telemetry {

using Json = nlohmann::ordered_json;

namespace {

std::string to_utc(WallTime time) {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = static_cast<std::time_t>(since / 1000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[64];
  const std::size_t length = std::strftime(text, sizeof text, "%FT%T", &parts);
  std::snprintf(text + length, sizeof text - length, ".%03dZ", static_cast<int>(since % 1000));
  return text;
}

}  // namespace

std::string to_json_line(const StepRecord& record, WallTime time) {
  Json line = {{"time", to_utc(time)},
               {"step", record.step},
               {"loss", record.loss},
               {"grad_norm", record.grad_norm},
               {"lr", record.lr},
               {"tokens", record.tokens},
               {"target_tokens", record.target_tokens},
               {"step_time_s", record.step_time_s},
               {"tokens_per_s", record.tokens_per_s},
               {"model_flops", record.model_flops},
               {"model_flops_full_attention", record.model_flops_full_attention}};
  if (record.mfu) line["mfu"] = *record.mfu;
  if (record.mfu_full_attention) line["mfu_full_attention"] = *record.mfu_full_attention;
  if (record.skipped_samples > 0) line["skipped_samples"] = record.skipped_samples;
  if (record.left_out) line["left_out"] = true;
  if (record.spike) line["spike"] = true;
  if (record.cut_recordings > 0) line["cut_recordings"] = record.cut_recordings;
  if (record.cut_texts > 0) line["cut_texts"] = record.cut_texts;
  for (const StageTime& s : record.previous_step) {
    line["previous_step"].push_back({{"stage", s.stage},
                                     {"compute_s", s.compute_s},
                                     {"bubble_s", s.bubble_s},
                                     {"communication_s", s.communication_s},
                                     {"peak_memory_bytes", s.peak_memory_bytes}});
  }
  return line.dump();
}

std::string to_json_line(const EvalRecord& record, WallTime time) {
  return Json{{"time", to_utc(time)},
              {"step", record.step},
              {"eval_loss", record.loss},
              {"eval_accuracy", record.accuracy},
              {"eval_samples", record.samples}}
      .dump();
}

namespace {

tl::unexpected<Error> io_error(const char* what, const std::filesystem::path& path) {
  return fail(ExitCode::io, cat("cannot ", what, " '", path.string(), "': ", std::strerror(errno)));
}

Result<void> write_all(int descriptor, const std::filesystem::path& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return io_error("write", path);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

bool ends_within_a_line(int descriptor) {
  struct stat status{};
  char last = '\n';
  return ::fstat(descriptor, &status) == 0 && status.st_size > 0 &&
         ::pread(descriptor, &last, 1, status.st_size - 1) == 1 && last != '\n';
}

}  // namespace

Result<MetricsFile> MetricsFile::open(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return io_error("open", path);
  MetricsFile file(path, descriptor);
  if (ends_within_a_line(descriptor)) {
    if (auto closed = write_all(descriptor, path, "\n"); !closed) return tl::unexpected(closed.error());
  }
  return file;
}

Result<MetricsFile> MetricsFile::open_behind(const std::filesystem::path& path, std::int64_t step) {
  const auto text = read_file(path);
  if (!text && text.error().code == ExitCode::missing_input) return open(path);
  if (!text) return tl::unexpected(text.error());
  std::string kept;
  for (const std::string& line : split(*text, '\n')) {
    const nlohmann::json record = nlohmann::json::parse(line, nullptr, false);
    const bool known = record.is_object() && record.contains("step") && record["step"].is_number_integer();
    if (known && record["step"].get<std::int64_t>() <= step) kept += line + "\n";
  }
  if (kept.size() != text->size())
    if (auto written = write_file_atomically(path, kept); !written) return tl::unexpected(written.error());
  return open(path);
}

MetricsFile::MetricsFile(MetricsFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      cut_short_(other.cut_short_) {}

MetricsFile& MetricsFile::operator=(MetricsFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(cut_short_, other.cut_short_);
  return *this;
}

MetricsFile::~MetricsFile() {
  if (descriptor_ < 0) return;
  ::fsync(descriptor_);
  ::close(descriptor_);
}

/// A file that was deleted or moved away takes lines that nobody will find.
bool MetricsFile::lost() const {
  struct stat ours{}, named{};
  return ::fstat(descriptor_, &ours) == 0 &&
         (::stat(path_.c_str(), &named) != 0 || named.st_ino != ours.st_ino || named.st_dev != ours.st_dev);
}

Result<void> MetricsFile::append(std::string line) {
  line += '\n';
  if (cut_short_) line.insert(0, "\n");
  auto written = write_all(descriptor_, path_, line);
  cut_short_ = !written && (cut_short_ || ends_within_a_line(descriptor_));
  if (written && lost())
    return fail(ExitCode::io, cat("'", path_.string(), "' was deleted or moved while the run writes to it"));
  return written;
}

}  // namespace cornstarch::telemetry
