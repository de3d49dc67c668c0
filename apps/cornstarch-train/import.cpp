#include <cstdio>
#include <filesystem>

#include "checks.h"
#include "console.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/config/load.h"
#include "import_config.h"
#include "verbs.h"

namespace cornstarch::app {

namespace {

namespace fs = std::filesystem;

struct Args {
  std::string hf, out, data, media_root;
  bool overwrite = false;
};

Result<Imported> read(const Args& args) {
  auto imported = read_imported(args.hf);
  if (!imported) return imported;
  const auto absolute = [](const std::string& path) {
    return path.empty() ? path : fs::absolute(path).lexically_normal().string();
  };
  imported->data = args.data.empty() ? "train.jsonl" : absolute(args.data);
  imported->media_root = absolute(args.media_root);
  return imported;
}

/// Whether the config holds together with what is in the folder: every weight is there, in its shape, and no
/// other. The data may come later.
bool holds(const Args& args, const Imported& imported, const std::string& text, const fs::path& file) {
  Diagnostics diagnostics;
  std::vector<std::string> overrides;
  if (args.data.empty())
    overrides.push_back(cat("data.train[0].path=", (imported.folder / "config.json").string()));
  auto loaded = config::load_text(text, file.string(), fs::absolute(args.out), overrides, diagnostics);
  auto modalities = loaded ? catalog::resolve(*loaded, diagnostics) : std::nullopt;
  if (modalities) check_inputs({std::move(*loaded), std::move(*modalities)}, diagnostics);
  std::fputs(render_text(diagnostics).c_str(), stderr);
  return !diagnostics.has_errors();
}

ExitCode run(const Args& args) {
  if (args.hf.empty() || args.out.empty())
    return complain({ExitCode::usage, cat(args.hf.empty() ? "--hf" : "--out", " is missing"),
                     "cornstarch-train import --hf CHECKPOINT --out FOLDER"});
  const fs::path file = fs::path(args.out) / "run.yaml";
  if (fs::exists(file) && !args.overwrite)
    return complain({ExitCode::usage, cat("'", file.string(), "' is there already"),
                     "give another folder, or --overwrite"});
  const auto imported = read(args);
  if (!imported) return complain(imported.error());
  const std::string text = import_config(*imported);
  if (!holds(args, *imported, text, file)) return ExitCode::usage;
  if (const auto made = make_folders(args.out); !made) return complain(made.error());
  if (const auto written = write_file_atomically(file, text); !written) return complain(written.error());
  std::string said = cat(file.string(), " trains ", imported->whole.model_type, ": nothing of '",
                         imported->folder.string(), "' was copied\n");
  if (args.data.empty())
    said += cat("put conversations in LLaVA's form at ", (fs::path(args.out) / "train.jsonl").string(),
                ", or name them under data.train\n");
  return print_out(said);
}

}  // namespace

Run declare_import(Options& options) {
  auto args = std::make_shared<Args>();
  options.text("--hf", args->hf, "The folder of a whole checkpoint, as the Hugging Face Hub has it",
               Flag::Takes::file);
  options.text("--out", args->out, "The folder for run.yaml, which it makes", Flag::Takes::file);
  options.text("--data", args->data, "Conversations to train on (else train.jsonl beside run.yaml)",
               Flag::Takes::file);
  options.text("--media-root", args->media_root, "Where their pictures are (else beside them)",
               Flag::Takes::file);
  options.flag("--overwrite", args->overwrite, "Replace a run.yaml that is there");
  return [args] { return run(*args); };
}

}  // namespace cornstarch::app
