#include "check_data.h"

#include <algorithm>
#include <charconv>
#include <thread>

#include "cornstarch/base/path_pattern.h"
#include "cornstarch/base/text.h"
#include "cornstarch/dataio/probe.h"
#include "cornstarch/dataio/run_data.h"

namespace cornstarch::app {
namespace {

/// What is trained on, or what is measured on.
class DataCheck {
 public:
  /// `key`: what it is said at if it has no place of its own.
  DataCheck(const Resolved& run, const std::string& key, Diagnostics& diagnostics)
      : run_(run), key_(key), diagnostics_(diagnostics) {}

  ExitCode check(const Result<dataio::ConversationOptions>& options, int samples) {
    if (!options) return refuse(options.error());
    for (const dataio::ConversationFile& file : options->files)
      if (const auto named = expand_pattern(file.path.string()))
        files_.insert(files_.end(), named->begin(), named->end());
    const auto data = dataio::ConversationDataset::open(*options);
    if (!data) return refuse(data.error());
    for (const std::string& warning : (*data)->warnings())
      for (const std::string& line : split(warning, '\n')) say(Severity::warning, line, {});
    return try_samples(**data, samples);
  }

 private:
  ExitCode try_samples(const dataio::ConversationDataset& data, int samples) {
    const config::RunConfig& config = run_.loaded.config;
    const int threads = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 16);
    const dataio::Probe tried =
        dataio::probe(data, dataio::some_samples(data.size(), samples, config.seed), threads);
    if (tried.cut > 0)
      say(Severity::warning,
          cat(data.place(tried.first_cut),
              ": a recording is longer than its encoder takes: the rest is cut off (", tried.cut, " of ",
              tried.samples, " samples that were tried; this is the first)"),
          {});
    if (tried.cut_texts > 0)
      say(Severity::warning,
          cat(data.place(tried.first_cut_text),
              ": the sample is longer than batch.sequence_length: its end is cut off (", tried.cut_texts,
              " of ", tried.samples, " samples that were tried; this is the first)"),
          {});
    const bool skips = config.data.on_bad_sample == config::OnBadSample::skip;
    const bool tolerated = skips && std::ssize(tried.problems) < tried.samples;
    for (const Error& problem : tried.problems)
      say(tolerated ? Severity::warning : Severity::error, problem.message, problem.help);
    return tried.problems.empty() || tolerated ? ExitCode::ok : tried.problems.front().code;
  }

  ExitCode refuse(const Error& error) {
    const std::vector<std::string> lines = split(error.message, '\n');
    for (std::size_t i = 0; i < lines.size(); ++i)
      say(Severity::error, lines[i], i + 1 == lines.size() ? error.help : std::string());
    return error.code;
  }

  /// A line that begins with a place in one of the files stands at that place, others at the key.
  void say(Severity severity, const std::string& line, const std::string& help) {
    SourceSpan where = run_.loaded.where.at(key_);
    std::string message = line;
    for (const std::filesystem::path& file : files_) {
      const std::string prefix = file.string() + ":";
      if (!line.starts_with(prefix)) continue;
      int number = 0;
      const char* end = line.data() + line.size();
      const auto [stop, failed] = std::from_chars(line.data() + prefix.size(), end, number);
      if (failed != std::errc() || !std::string_view(stop, end).starts_with(": ")) continue;
      where = {};
      where.file = file.string();
      where.line = number;
      where.column = 1;
      message = std::string(stop + 2, end);
    }
    if (severity == Severity::error) {
      diagnostics_.error("bad_data", message, where, help);
    } else {
      diagnostics_.warning("data", message, where, help);
    }
  }

  const Resolved& run_;
  const std::string key_;
  std::vector<std::filesystem::path> files_;
  Diagnostics& diagnostics_;
};

}  // namespace

ExitCode check_data(const Resolved& run, int samples, Diagnostics& diagnostics) {
  const config::RunConfig& config = run.loaded.config;
  const ExitCode train =
      DataCheck(run, "data.train", diagnostics).check(dataio::training_data(config, run.modalities), samples);
  ExitCode eval = ExitCode::ok;
  if (config::measures(config)) {
    const std::string key = config.data.eval.empty() ? "eval.hold_out" : "data.eval";
    eval = DataCheck(run, key, diagnostics).check(dataio::held_out_data(config, run.modalities), samples);
  }
  return train == ExitCode::ok ? eval : train;
}

}  // namespace cornstarch::app
