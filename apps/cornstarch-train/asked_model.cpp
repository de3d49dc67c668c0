#include "asked_model.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"
#include "cornstarch/catalog/whole_model.h"
#include "cornstarch/config/load.h"
#include "imported.h"

namespace cornstarch::app {

namespace {

namespace fs = std::filesystem;
using config::RunConfig;

/// The weights of one of a run's models: whole, or adapters beside what it was made of.
template <typename Model>
void take_written(const fs::path& folder, Model& model) {
  std::error_code ignored;
  if (model.lora && fs::exists(folder / "adapter_model.safetensors", ignored)) {
    model.lora->pretrained = folder.string();
    return;
  }
  model.pretrained = folder.string();
  model.config_json.reset();
  model.lora.reset();
}

Result<void> take_model_of_run(const fs::path& run, RunConfig& config) {
  const fs::path models = run / "model", llm = models / "llm";
  std::error_code ignored;
  if (!fs::exists(llm / "model.safetensors", ignored) &&
      !fs::exists(llm / "adapter_model.safetensors", ignored))
    return fail(ExitCode::missing_input, cat("the run in '", run.string(), "' has not written its model yet"),
                cat("it does at its end; cornstarch-train checkpoint export ", run.string(), " --to ",
                    models.string(), " writes that of its newest checkpoint"));
  for (config::Encoder& encoder : config.model.encoders) take_written(models / encoder.name, encoder);
  take_written(llm, config.model.llm);
  if (fs::exists(llm / "tokenizer.json", ignored)) config.data.tokenizer = llm.string();
  return {};
}

/// Models without weights would answer noise.
Result<void> check_weights(const RunConfig& config, const std::string& path) {
  std::vector<std::string> without;
  for (const config::Encoder& encoder : config.model.encoders)
    if (!encoder.pretrained) without.push_back(cat("model.encoders.", encoder.name));
  if (!config.model.llm.pretrained) without.emplace_back("model.llm");
  if (without.empty()) return {};
  return fail(ExitCode::usage,
              cat(path, ": ", join(without, ", "), without.size() == 1 ? " names" : " name",
                  " no weights (pretrained): there is no model to ask"),
              "give the folder of a run that has trained it");
}

/// Of a whole checkpoint's folder, as `import` has it.
std::optional<RunConfig> config_of_whole(const Imported& imported, Diagnostics& diagnostics) {
  auto loaded = config::load_text(run_yaml(imported.draft), imported.folder.string(), ".", {}, diagnostics);
  return loaded && !diagnostics.has_errors() ? std::optional(std::move(loaded->config)) : std::nullopt;
}

/// Of a language model's folder.
RunConfig config_of_llm(const fs::path& folder, const std::string& model_type) {
  RunConfig config;
  config.model.llm.family = model_type;
  config.model.llm.pretrained = folder.string();
  config.data.tokenizer = folder.string();
  config.batch.sequence_length = 2;
  config.steps = 1;
  return config;
}

Result<std::string> model_type_in(const fs::path& file) {
  const auto text = read_file(file, std::size_t{1} << 20);
  if (!text) return tl::unexpected(text.error());
  const auto json = nests_deeper(*text, 64) ? nlohmann::json() : nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object() || !json.contains("model_type") || !json["model_type"].is_string())
    return fail(ExitCode::bad_data, cat(file.string(), " names no model_type"));
  return json["model_type"].get<std::string>();
}

/// One process asks one sequence at a time. A config names data, which nothing reads here: any file will do.
void keep_simple(RunConfig& config, const fs::path& any_file) {
  config.data.train.assign(1, {});
  config.data.train.front().path = any_file.string();
  config.data.eval.clear();
  for (config::Encoder& encoder : config.model.encoders) encoder.parallel.reset();
  config.model.llm.parallel.reset();
  config.layout = config::Layout::single;
  config.sharding = config::Sharding::none;
  config.cuda_graphs = false;
  config.deterministic = false;
  config.resume = config::Resume::never;
  config.batch.microbatch_size = 1;
  config.batch.global_size.reset();
  config.batch.num_microbatches = 1;
}

}  // namespace

Result<std::optional<RunConfig>> config_of_model(const std::string& path, Diagnostics& diagnostics) {
  const fs::path given = fs::absolute(path).lexically_normal();
  std::error_code ignored;
  const bool folder = fs::is_directory(given, ignored);
  if (!fs::exists(given, ignored))
    return fail(ExitCode::missing_input, cat("there is no run, config or model folder '", path, "'"));
  if (folder && fs::exists(given / "manifest.json", ignored))
    return fail(ExitCode::usage, cat("'", path, "' is a checkpoint, not a model"),
                cat("cornstarch-train checkpoint export ", path, " --to FOLDER writes its model's folders"));
  std::optional<RunConfig> config;
  const fs::path file = folder ? given / "config.yaml" : given;
  if (!folder || fs::exists(file, ignored)) {
    auto loaded = config::load(file, {}, diagnostics);
    if (!loaded || diagnostics.has_errors()) return std::optional<RunConfig>();
    config = std::move(loaded->config);
    const auto sound = folder ? take_model_of_run(given, *config) : check_weights(*config, path);
    if (!sound) return tl::unexpected(sound.error());
  } else if (fs::exists(given / "config.json", ignored)) {
    const auto model_type = model_type_in(given / "config.json");
    if (!model_type) return tl::unexpected(model_type.error());
    if (std::ranges::count(catalog::whole_models(), *model_type) > 0) {
      auto imported = read_imported(given);
      if (!imported) return tl::unexpected(imported.error());
      imported->draft.data = (given / "config.json").string();
      config = config_of_whole(*imported, diagnostics);
      if (!config) return config;
    } else {
      config = config_of_llm(given, *model_type);
    }
  } else {
    return fail(ExitCode::missing_input,
                cat("'", path, "' holds neither a run (config.yaml) nor a model (config.json)"));
  }
  keep_simple(*config, fs::exists(file, ignored) ? file : given / "config.json");
  return config;
}

}  // namespace cornstarch::app
