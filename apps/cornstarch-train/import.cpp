#include <filesystem>

#include "console.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "imported.h"
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
  RunDraft& draft = imported->draft;
  draft.data = args.data.empty() ? "train.jsonl" : absolute(args.data);
  draft.media_root = absolute(args.media_root);
  return imported;
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
  const std::string text = run_yaml(imported->draft);
  if (!holds(imported->draft, text, file, !args.data.empty())) return ExitCode::usage;
  if (const auto made = make_folders(args.out); !made) return complain(made.error());
  if (const auto written = write_file_atomically(file, text); !written) return complain(written.error());
  std::string said = cat(file.string(), " trains ", imported->model_type, ": nothing of '",
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
