#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "checks.h"
#include "console.h"
#include "cornstarch/base/console.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/dataio/run_data.h"
#include "cornstarch/telemetry/progress.h"
#include "inspected.h"
#include "run_file.h"
#include "verbs.h"
#include "version.h"

namespace cornstarch::app {
namespace {

constexpr int kSamples = 2000;

struct Args {
  std::string action, html, format = "text";
  RunFile file;
  std::optional<int> sample, limit;

  /// A sample for itself needs no look at the others.
  bool counts() const { return !sample || limit || !html.empty(); }
  bool shows_sample() const { return sample || !html.empty(); }
};

/// Bad samples are what is looked for: they keep nothing from being opened.
Result<std::unique_ptr<dataio::ConversationDataset>> open(Result<dataio::ConversationOptions> options) {
  if (!options) return tl::unexpected(options.error());
  options->max_bad_fraction = 1;
  return dataio::ConversationDataset::open(*options);
}

Inspected::Set count(const std::string& key, const dataio::ConversationDataset& data, const Args& args,
                     std::uint64_t seed) {
  const int threads = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 64);
  const std::int64_t limit = args.limit.value_or(kSamples);
  telemetry::Progress progress(cat("looking at ", key), std::min(limit, data.size()), "samples");
  return {key, dataio::inspect(data, limit, seed, threads, [&](std::int64_t n) { progress.add(n); }),
          data.warnings()};
}

Result<Inspected> inspect(const Resolved& run, const Args& args) {
  const config::RunConfig& config = run.loaded.config;
  Inspected out;
  out.config = args.file.path;
  out.sequence_length = config.batch.sequence_length;
  const auto train = open(dataio::training_data(config, run.modalities));
  if (!train) return tl::unexpected(train.error());
  if (args.counts()) out.sets.push_back(count("data.train", **train, args, config.seed));
  if (args.counts() && config::measures(config)) {
    const auto eval = open(dataio::held_out_data(config, run.modalities));
    if (!eval) return tl::unexpected(eval.error());
    out.sets.push_back(
        count(config.data.eval.empty() ? "eval.hold_out" : "data.eval", **eval, args, config.seed));
  }
  if (!args.shows_sample()) return out;
  auto shown = show_sample(**train, args.sample.value_or(1));
  if (shown) out.sample = std::move(*shown);
  if (!shown && args.sample) return tl::unexpected(shown.error());
  return out;
}

ExitCode run(const Args& args) {
  if (args.action.empty())
    return complain({ExitCode::usage, "data: say what to do", "cornstarch-train data inspect --config FILE"});
  if (args.file.path.empty()) return complain(missing_config("data"));
  Diagnostics diagnostics;
  const auto resolved = resolve_run_file(args.file, diagnostics);
  if (resolved) check_inputs(*resolved, diagnostics);
  std::fputs(render_text(diagnostics).c_str(), stderr);
  if (!resolved || diagnostics.has_errors()) return ExitCode::usage;
  const auto inspected = inspect(*resolved, args);
  if (!inspected) return complain(inspected.error());
  if (!args.html.empty()) {
    const auto page = to_html(*inspected, cat("cornstarch-train ", versions().front().second));
    if (!page) return complain(page.error());
    if (const auto written = write_file_atomically(args.html, *page); !written)
      return complain(written.error());
    std::fputs(cat(args.html, ": written\n").c_str(), stderr);
  }
  if (args.format == "json")
    return print_out(to_json(*inspected).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) +
                     "\n");
  return print_out(to_text(*inspected, columns(), detect_terminal(1).color));
}

}  // namespace

Run declare_data(Options& options) {
  auto args = std::make_shared<Args>();
  options.word("action", args->action, {"inspect"}, "What to do");
  declare_run_file(options, args->file);
  options.count("--sample", args->sample, "Show sample N of data.train as the model sees it, from 1");
  options.count(
      "--limit", args->limit,
      cat("Samples of each data set that are looked at, media included: the first ones and some of the "
          "others (",
          kSamples, ")"));
  options.text("--html", args->html, "Also a page for a browser, with a sample's pictures and spectrograms",
               Flag::Takes::file);
  options.choice("--format", args->format, {"text", "json"}, "Text for people, or JSON");
  return [args] { return run(*args); };
}

}  // namespace cornstarch::app
