#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "console.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/catalog/whole_model.h"
#include "run_draft.h"
#include "verbs.h"

namespace cornstarch::app {
namespace {

namespace fs = std::filesystem;

struct Args {
  std::string vision, audio, llm, data, media_root, run_dir, out = "run.yaml";
  std::optional<int> gpus;
  bool force = false;
};

std::string absolute(const std::string& path) {
  if (path.empty()) return path;
  fs::path out = fs::absolute(path).lexically_normal();
  return (out.has_filename() ? out : out.parent_path()).string();
}

/// A model's folder, looked into.
struct Found {
  std::string family;
  catalog::ModelSpec spec;
};

/// A folder whose model takes what the flag says: pictures, sound, or for --llm words.
Result<Found> find_model(const std::string& flag, const std::string& folder) {
  const auto text = catalog::read_model_config(folder);
  if (!text) return fail(text.error().code, cat(flag, ": ", text.error().message), text.error().help);
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  const auto type = json.is_object() ? json.value("model_type", nlohmann::json()) : nlohmann::json();
  const std::string model_type = type.is_string() ? type.get<std::string>() : "";
  const auto wholes = catalog::whole_models();
  if (std::ranges::find(wholes, model_type) != wholes.end())
    return fail(ExitCode::usage, cat(flag, ": '", folder, "' holds a whole checkpoint (", model_type, ")"),
                cat("cornstarch-train import --hf ", folder, " --out FOLDER"));
  const auto family = catalog::family_of(model_type);
  std::vector<std::string> names;
  for (const catalog::FamilyInfo& each : catalog::families()) names.push_back(each.name);
  if (!family)
    return fail(
        ExitCode::usage,
        cat(flag, ": '", folder, "' holds a model of type '", model_type, "', which is no family of ours"),
        cat("known: ", join(names, ", ")));
  auto made = catalog::make_spec(*family, *text);
  if (!made.spec) return fail(ExitCode::bad_data, cat(flag, ": ", join(made.problems, "\n")), made.help);
  const bool llm = made.spec->kind == catalog::ModelKind::llm;
  const std::string is = llm                                                               ? "--llm"
                         : catalog::media_of(made.spec->kind) == catalog::MediaKind::image ? "--vision"
                                                                                           : "--audio";
  if (is != flag)
    return fail(ExitCode::usage, cat(flag, ": '", folder, "' holds a model of family ", *family),
                cat("it is one for ", is));
  return Found{*family, std::move(*made.spec)};
}

config::Encoder encoder_of(const std::string& name, const std::string& placeholder, const std::string& folder,
                           const Found& found) {
  config::Encoder encoder;
  encoder.name = name;
  encoder.family = found.family;
  encoder.pretrained = folder;
  encoder.placeholder = placeholder;
  encoder.projector.type = config::ProjectorType::mlp;
  if (found.spec.leading_tokens >
      0) {  // one for the picture as a whole: LLaVA takes the patches before the last layer
    encoder.feature_layer = -2;
    encoder.feature_select = config::FeatureSelect::patch;
  }
  return encoder;
}

std::string heading(const Args& args) {
  const std::string with = args.gpus.value_or(1) > 1 ? cat("mpirun -n ", *args.gpus, " ") : "";
  return cat(
      "# Written by cornstarch-train init. Every key stands in docs/config.md; then:\n#\n"
      "#   cornstarch-train validate --config ",
      fs::path(args.out).filename().string(), "\n#   cornstarch-train data inspect --config ",
      fs::path(args.out).filename().string(), "\n#   ", with, "cornstarch-train train --config ",
      fs::path(args.out).filename().string(), "\n");
}

/// All that is wrong with the folders is said.
std::optional<RunDraft> draft_of(const Args& args, ExitCode& code) {
  RunDraft draft;
  const auto take = [&](const std::string& flag, const std::string& folder) {
    auto found = find_model(flag, folder);
    if (!found) code = complain(found.error());
    return found ? std::optional(std::move(*found)) : std::nullopt;
  };
  for (const auto& [flag, name, placeholder, folder] :
       {std::tuple{"--vision", "vision", "<image>", absolute(args.vision)},
        std::tuple{"--audio", "audio", "<audio>", absolute(args.audio)}})
    if (!folder.empty())
      if (const auto found = take(flag, folder))
        draft.model.encoders.push_back(encoder_of(name, placeholder, folder, *found));
  const std::string llm = absolute(args.llm);
  if (const auto found = take("--llm", llm)) draft.model.llm.family = found->family;
  if (code != ExitCode::ok) return std::nullopt;
  draft.model.llm.pretrained = llm;
  if (const auto read = read_modules(draft); !read) {
    code = complain(read.error());
    return std::nullopt;
  }
  draft.heading = heading(args);
  draft.fresh_projectors = true;
  draft.gpus = args.gpus;
  draft.tokenizer = llm;
  draft.chat = choose_template(draft.model.llm.family, llm);
  draft.precision = args.gpus ? "bf16" : precision_of(llm);
  draft.data = args.data.empty() ? "train.jsonl" : absolute(args.data);
  draft.media_root = absolute(args.media_root);
  draft.run_dir = args.run_dir.empty() ? cat("runs/", fs::path(args.out).stem().string()) : args.run_dir;
  return draft;
}

// ---- answers in a terminal

/// What is typed, without the space around it; nothing at the end of the input.
std::optional<std::string> typed(const std::string& question) {
  std::cout << question << std::flush;
  std::string line;
  if (!std::getline(std::cin, line)) return std::nullopt;
  return std::string(trim(line));
}

/// Asks until the answer will do; an empty one stands for none.
bool ask(const std::string& question, std::string& answer,
         const std::function<Result<void>(const std::string&)>& check, bool must = false) {
  while (answer.empty()) {
    const auto line = typed(question);
    if (!line) return false;
    if (line->empty() && !must) return true;
    if (line->empty()) continue;
    if (const auto good = check(*line); !good) {
      complain(good.error());
      continue;
    }
    answer = *line;
  }
  return true;
}

bool ask_for_all(Args& args) {
  const auto model = [](const char* flag) {
    return [flag](const std::string& folder) -> Result<void> {
      const auto found = find_model(flag, absolute(folder));
      if (!found) return tl::unexpected(found.error());
      return {};
    };
  };
  const auto there = [](const std::string& path) -> Result<void> {
    std::error_code ignored;
    if (fs::exists(path, ignored)) return {};
    return fail(ExitCode::missing_input, cat("there is no '", path, "'"));
  };
  std::string gpus = args.gpus ? std::to_string(*args.gpus) : "";
  const auto count = [](const std::string& text) -> Result<void> {
    int value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && stop == text.data() + text.size() && value > 0) return {};
    return fail(ExitCode::usage, cat("expected a whole number from 1 up, got '", text, "'"));
  };
  const bool answered =
      ask("Folder of the language model: ", args.llm, model("--llm"), true) &&
      ask("Folder of an encoder of pictures (nothing: none): ", args.vision, model("--vision")) &&
      ask("Folder of an encoder of sound (nothing: none): ", args.audio, model("--audio")) &&
      ask("Conversations to train on (nothing: train.jsonl, later): ", args.data, there) &&
      ask("GPUs (nothing: none yet): ", gpus, count);
  if (!gpus.empty()) args.gpus = std::stoi(gpus);
  return answered;
}

ExitCode run(Args& args) {
  std::error_code ignored;
  if (fs::exists(args.out, ignored) && !args.force)
    return complain({ExitCode::usage, cat("'", args.out, "' is there already"), "another --out, or --force"});
  if (args.llm.empty()) {
    if (::isatty(STDIN_FILENO) == 0)
      return complain({ExitCode::usage, "init: --llm is missing",
                       "--llm FOLDER; in a terminal, init asks for what it needs"});
    if (!ask_for_all(args)) return complain({ExitCode::usage, "init: the answers ended too early", ""});
  }
  ExitCode code = ExitCode::ok;
  const auto draft = draft_of(args, code);
  if (!draft) return code;
  const std::string text = run_yaml(*draft);
  if (!holds(*draft, text, args.out, !args.data.empty())) return ExitCode::usage;
  if (const auto written = write_file_atomically(args.out, text); !written) return complain(written.error());
  return print_out(
      cat(args.out, ": written. Look it through, then: cornstarch-train validate --config ", args.out, "\n"));
}

}  // namespace

Run declare_init(Options& options) {
  auto args = std::make_shared<Args>();
  options.text("--llm", args->llm, "The language model's Hugging Face folder", Flag::Takes::file);
  options.text("--vision", args->vision, "The folder of an encoder of pictures", Flag::Takes::file);
  options.text("--audio", args->audio, "The folder of an encoder of sound", Flag::Takes::file);
  options.text("--data", args->data, "Conversations to train on (else train.jsonl beside the config)",
               Flag::Takes::file);
  options.text("--media-root", args->media_root, "Where their media are (else beside them)",
               Flag::Takes::file);
  options.count("--gpus", args->gpus, "On how many GPUs it shall train (else on the CPU)");
  options.text("--run-dir", args->run_dir, "Where the run goes (else runs/ and the config's name)",
               Flag::Takes::file);
  options.text("--out", args->out, "The config that is written (run.yaml)", Flag::Takes::file);
  options.flag("--force", args->force, "Replace a config that is there");
  return [args] { return run(*args); };
}

}  // namespace cornstarch::app
