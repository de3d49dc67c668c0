#include <cstdio>
#include <filesystem>

#include "console.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/whole_model.h"
#include "cornstarch/config/load.h"
#include "export_whole.h"
#include "verbs.h"

namespace cornstarch::app {

namespace {

namespace fs = std::filesystem;

struct Args {
  std::string run, out;
  bool adapters = false;
};

/// The run's parts, by its config alone: its data and tokenizer may be elsewhere by now.
std::optional<catalog::Modalities> resolve_run(const fs::path& run, Diagnostics& diagnostics) {
  auto loaded = config::load(run / "config.yaml", {}, diagnostics);
  if (!loaded) return std::nullopt;
  loaded->config.data.train.clear();
  loaded->config.data.eval.clear();
  loaded->config.data.tokenizer = run / "model" / "llm";
  return catalog::resolve(*loaded, diagnostics);
}

/// The whole checkpoint that all parts came from.
Result<fs::path> whole_of(const catalog::Modalities& parts) {
  fs::path whole;
  for (const catalog::Modality& part : parts) {
    const catalog::ModelPlace place = catalog::place_of(part.pretrained.value_or(""));
    const std::string help =
        "export is of runs whose models are all parts of one checkpoint, as import writes "
        "them; the run's model folder has each model by itself";
    if (place.part.empty())
      return fail(ExitCode::usage,
                  cat("'", part.name, "' came from ",
                      part.pretrained ? cat("'", *part.pretrained, "', no part of a whole checkpoint")
                                      : "no checkpoint"),
                  help);
    if (!whole.empty() && whole != place.folder)
      return fail(ExitCode::usage,
                  cat("'", part.name, "' came from '", place.folder.string(), "', others from '",
                      whole.string(), "'"),
                  help);
    whole = place.folder;
  }
  return whole;
}

/// All of it or nothing: what does not get whole leaves no folder that looks as if it were.
Result<ExportedWhole> write(const TrainedWhole& trained, const Args& args) {
  const fs::path out = fs::absolute(args.out).lexically_normal();
  fs::path partial = out.has_filename() ? out : out.parent_path();
  partial += ".partial";
  std::error_code error;
  fs::remove_all(partial, error);  // of a try that was killed
  auto done = args.adapters ? export_adapters(trained, partial) : export_whole(trained, partial);
  if (done) fs::rename(partial, out, error);
  if (!done || error) {
    std::error_code ignored;
    fs::remove_all(partial, ignored);
  }
  if (done && error)
    return fail(ExitCode::io,
                cat("cannot name '", partial.string(), "' '", args.out, "': ", error.message()));
  return done;
}

ExitCode run(const Args& args) {
  if (args.run.empty() || args.out.empty())
    return complain({ExitCode::usage, cat(args.run.empty() ? "--run" : "--out", " is missing"),
                     "cornstarch-train export --run RUN --out FOLDER"});
  if (fs::exists(args.out) && !fs::is_empty(args.out))
    return complain({ExitCode::usage, cat("'", args.out, "' is there already"), "give another folder"});
  const fs::path run = args.run;
  if (!fs::exists(run / "config.yaml"))
    return complain({ExitCode::missing_input,
                     cat("'", args.run, "' is no run's folder: it has no config.yaml"),
                     "give the run_dir of a run"});
  Diagnostics diagnostics;
  auto parts = resolve_run(run, diagnostics);
  if (!parts) {
    std::fputs(render_text(diagnostics).c_str(), stderr);
    return ExitCode::usage;
  }
  const auto whole = whole_of(*parts);
  if (!whole) return complain(whole.error());
  const TrainedWhole trained{*whole, run / "model", std::move(*parts)};
  const auto done = write(trained, args);
  if (!done) return complain(done.error());
  if (args.adapters)
    return print_out(cat(args.out, ": adapters in PEFT's format for '", whole->string(), "', ", done->tensors,
                         " tensors\n"));
  std::string said = cat(args.out, ": ", done->trained, " of ", done->tensors,
                         " tensors are the run's, the others those of '", whole->string(), "'\n");
  if (!done->types.empty())
    said += cat("what the run made is in ", join(done->types, " and "), " (export_dtype)\n");
  return print_out(said);
}

}  // namespace

Run declare_export(Options& options) {
  auto args = std::make_shared<Args>();
  options.text("--run", args->run, "The folder of a run that began with a config of import",
               Flag::Takes::file);
  options.text("--out", args->out, "The folder for the checkpoint, which it makes", Flag::Takes::file);
  options.flag("--adapters", args->adapters, "The adapters alone, in PEFT's format, for the original");
  return [args] { return run(*args); };
}

}  // namespace cornstarch::app
