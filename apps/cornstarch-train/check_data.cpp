#include "check_data.h"

#include <algorithm>
#include <charconv>
#include <thread>

#include "cornstarch/base/text.h"
#include "cornstarch/dataio/probe.h"
#include "cornstarch/dataio/run_data.h"

namespace cornstarch::app {
namespace {

/// One of the lists `data.train` and `data.eval`.
class DataCheck {
 public:
  DataCheck(const Resolved& run, const std::string& name, const std::vector<config::Dataset>& files,
            Diagnostics& diagnostics)
      : run_(run), name_(name), files_(files), diagnostics_(diagnostics) {}

  ExitCode check(int samples) {
    const auto options = dataio::conversation_options(run_.loaded.config, run_.modalities, files_);
    if (!options) return refuse(options.error());
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

  /// A line that begins with a place in one of the files stands at that place, others at the list's key.
  void say(Severity severity, const std::string& line, const std::string& help) {
    SourceSpan where = run_.loaded.where.at("data." + name_);
    std::string message = line;
    for (const config::Dataset& file : files_) {
      const std::string prefix = file.path + ":";
      if (!line.starts_with(prefix)) continue;
      int number = 0;
      const char* end = line.data() + line.size();
      const auto [stop, failed] = std::from_chars(line.data() + prefix.size(), end, number);
      if (failed != std::errc() || !std::string_view(stop, end).starts_with(": ")) continue;
      where = {};
      where.file = file.path;
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
  const std::string name_;
  const std::vector<config::Dataset>& files_;
  Diagnostics& diagnostics_;
};

}  // namespace

ExitCode check_data(const Resolved& run, int samples, Diagnostics& diagnostics) {
  const config::Data& data = run.loaded.config.data;
  const ExitCode train = DataCheck(run, "train", data.train, diagnostics).check(samples);
  const ExitCode eval =
      data.eval.empty() ? ExitCode::ok : DataCheck(run, "eval", data.eval, diagnostics).check(samples);
  return train == ExitCode::ok ? eval : train;
}

}  // namespace cornstarch::app
