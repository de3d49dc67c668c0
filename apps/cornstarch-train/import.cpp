#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "checks.h"
#include "console.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/config/load.h"
#include "cornstarch/dataio/tokenizer.h"
#include "import_config.h"
#include "verbs.h"

namespace cornstarch::app {

namespace {

namespace fs = std::filesystem;

struct Args {
  std::string hf, out, data, media_root;
  bool overwrite = false;
};

/// What is wrong with a chat template for the folder's tokenizer, in a line; nothing if it can be taken.
std::optional<std::string> problem_of(config::ChatTemplate chat, const fs::path& folder) {
  for (const auto& problem : dataio::check_tokenizer(folder, {}, config::name_of(chat)).problems)
    if (problem.severity == Severity::error) return problem.message.substr(0, problem.message.find('\n'));
  return std::nullopt;
}

/// The folder's own chat template, else the first that its language model's family has learnt and whose
/// tokens the tokenizer has.
ChosenTemplate choose_template(const std::string& family, const fs::path& folder) {
  using config::ChatTemplate;
  const auto own = problem_of(ChatTemplate::checkpoint, folder);
  if (!own) return {ChatTemplate::checkpoint, "the folder's own", {}};
  for (const catalog::FamilyInfo& known : catalog::families()) {
    if (known.name != family) continue;
    for (const ChatTemplate candidate : known.chat_templates)
      if (!problem_of(candidate, folder))
        return {candidate, cat("as models of ", family, " have learnt"), *own};
  }
  // What else is wrong with a tokenizer is told of the config.
  return {ChatTemplate::plain, cat("the tokenizer has the tokens of none that ", family, " has learnt"),
          *own};
}

/// A run computes in bf16 what is stored in sixteen bits.
std::string precision_of(const fs::path& folder) {
  const auto text = read_file(folder / "config.json", std::size_t{16} << 20);
  const auto json = text ? nlohmann::json::parse(*text, nullptr, false) : nlohmann::json();
  if (!json.is_object()) return "fp32";
  const auto type = json.value("dtype", json.value("torch_dtype", nlohmann::json()));
  return type == "bfloat16" || type == "float16" ? "bf16" : "fp32";
}

/// Fills in the modules of each modality, and the longest row that is of use.
Result<void> read_modules(Imported& imported) {
  const auto add = [&](const auto& model, bool encoder) -> Result<void> {
    const auto text = catalog::read_model_config(*model.pretrained);
    if (!text) return tl::unexpected(text.error());
    const auto result = catalog::make_spec(model.family, *text);
    if (!result.spec) return fail(ExitCode::bad_data, join(result.problems, "\n"), result.help);
    auto& names = imported.modules.emplace_back();
    for (const auto& module : result.spec->modules) names.push_back(module.name);
    if (encoder) names.emplace_back("projector");
    constexpr std::int64_t kUsual = 2048;
    const std::int64_t most = result.spec->max_positions;
    imported.sequence_length = most > 0 ? std::min(most, kUsual) : kUsual;
    return {};
  };
  for (const config::Encoder& encoder : imported.whole.model.encoders)
    if (auto added = add(encoder, true); !added) return added;
  return add(imported.whole.model.llm, false);
}

Result<Imported> read(const Args& args) {
  Imported imported;
  imported.folder = fs::absolute(args.hf).lexically_normal();
  if (!imported.folder.has_filename()) imported.folder = imported.folder.parent_path();
  auto whole = catalog::read_whole(imported.folder);
  if (!whole) return tl::unexpected(whole.error());
  imported.whole = std::move(*whole);
  if (auto done = read_modules(imported); !done) return tl::unexpected(done.error());
  imported.chat = choose_template(imported.whole.model.llm.family, imported.folder);
  imported.precision = precision_of(imported.folder);
  const auto absolute = [](const std::string& path) {
    return path.empty() ? path : fs::absolute(path).lexically_normal().string();
  };
  imported.data = args.data.empty() ? "train.jsonl" : absolute(args.data);
  imported.media_root = absolute(args.media_root);
  imported.run_dir = cat("runs/", imported.folder.filename().string());
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
