#include "cornstarch/report/page.h"

#include <cstdio>
#include <filesystem>
#include <memory>

#include "console.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"
#include "verbs.h"
#include "version.h"

namespace cornstarch::app {
namespace {

namespace fs = std::filesystem;

struct Args {
  std::vector<std::string> runs;
  std::string out;
};

/// What is wrong with any folder is said of each; the code is the first one's.
ExitCode read_all(const std::vector<std::string>& folders, std::vector<report::Run>& runs) {
  ExitCode code = ExitCode::ok;
  for (const std::string& folder : folders) {
    auto run = report::read_run(folder);
    if (!run) {
      const ExitCode said = complain(run.error());
      if (code == ExitCode::ok) code = said;
      continue;
    }
    for (const std::string& note : run->notes)
      std::fputs(cat("warning: ", harmless(note), "\n").c_str(), stderr);
    runs.push_back(std::move(*run));
  }
  return code;
}

/// Beside the numbers of one run; of several, here.
fs::path page_of(const Args& args) {
  if (!args.out.empty()) return args.out;
  return args.runs.size() == 1 ? fs::path(args.runs.front()) / "report.html" : fs::path("report.html");
}

ExitCode run(const Args& args) {
  if (args.runs.empty())
    return complain({ExitCode::usage, "report: say of which runs", "cornstarch-train report RUN..."});
  std::vector<report::Run> runs;
  if (const ExitCode code = read_all(args.runs, runs); code != ExitCode::ok) return code;
  report::PageOptions options;
  options.made_by = cat("cornstarch-train ", versions().front().second);
  const fs::path out = page_of(args);
  const auto written = write_file_atomically(out, report::page(runs, options));
  if (!written) return complain(written.error());
  return print_out(cat(out.string(), ": ", runs.size(), runs.size() == 1 ? " run\n" : " runs\n"));
}

}  // namespace

Run declare_report(Options& options) {
  auto args = std::make_shared<Args>();
  options.words("run", args->runs, "The folder of a run; several are shown in one another's light");
  options.text("--out", args->out,
               "Where the page goes (default: report.html in the run's folder, of several runs in this one)",
               Flag::Takes::file);
  return [args] { return run(*args); };
}

}  // namespace cornstarch::app
