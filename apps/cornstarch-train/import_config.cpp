#include "import_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/plan/names.h"

namespace cornstarch::app {
namespace {

/// A path as YAML has it in quotes, and the config's own way of writing a dollar.
std::string quoted(const std::string& path) {
  std::string out;
  for (const char c : path) out += c == '$' ? "$$" : std::string(1, c);
  return nlohmann::json(out).dump();
}

std::string stages(const std::vector<std::string>& modules, const std::string& indent) {
  std::vector<std::string> items = plan::compress_modules(modules);
  for (std::string& item : items)
    if (item.find("..") != std::string::npos) item = cat("\"", item, "\"");
  const std::size_t width = indent.size() + 7;
  std::string stage = plan::wrap(items, width, 109);
  stage.replace(0, width, indent + "    - [");
  stage.insert(stage.size() - 1, "]");
  return cat(indent, "parallel:  # with layout: separate; a list of modules for each stage\n", indent,
             "  tp: 1\n", indent, "  stages:\n", stage);
}

std::string projector(const config::Encoder& encoder) {
  const config::Projector& p = encoder.projector;
  std::string out = cat("{type: ", config::name_of(p.type));
  if (p.type == config::ProjectorType::mlp) out += cat(", activation: ", p.activation);
  if (p.avg_pool > 1) out += cat(", avg_pool: ", p.avg_pool);
  return out + "}";
}

/// What trains of an encoder: usually no more than what brings its features to the language model.
std::string training(const config::Encoder& encoder, const std::vector<std::string>& modules) {
  const bool has_projector = encoder.projector.type != config::ProjectorType::none;
  if (has_projector)
    return "      train: {encoder: false, projector: true}  # usual: only what brings its features to the "
           "LLM\n";
  const std::string last = modules.size() > 1 ? modules[modules.size() - 2] : modules.back();
  return cat("      train_only: [", last, "]  # usual: only what brings its features to the LLM\n");
}

catalog::ModelKind kind_of(const std::string& family) {
  return std::ranges::find(catalog::families(), family, &catalog::FamilyInfo::name)->kind;
}

std::string text_of(const config::Encoder& encoder, const std::vector<std::string>& modules) {
  std::string out = cat("    ", encoder.name, ":\n      family: ", encoder.family,
                        "\n      pretrained: ", quoted(*encoder.pretrained), "\n");
  out += cat("      projector: ", projector(encoder), "\n");
  if (encoder.projector.type != config::ProjectorType::none)
    out += cat("      feature_layer: ", encoder.feature_layer,
               "\n      feature_select: ", config::name_of(encoder.feature_select), "\n");
  if (!encoder.feature_norm) out += "      feature_norm: false\n";
  const bool sees = catalog::media_of(kind_of(encoder.family)) == catalog::MediaKind::image;
  out += sees ? "      placeholder: \"<image>\"  # stands in conversations where a picture is\n"
              : "      placeholder: \"<audio>\"  # stands in conversations where a recording is\n";
  return out + training(encoder, modules) + stages(modules, "      ");
}

std::string text_of(const config::Llm& llm, const std::vector<std::string>& modules) {
  std::string out =
      cat("  llm:\n    family: ", llm.family, "\n    pretrained: ", quoted(*llm.pretrained), "\n");
  if (llm.attention_mask != config::AttentionMask::causal)
    out += cat("    attention_mask: ", config::name_of(llm.attention_mask), "\n");
  out +=
      "    train: true\n"
      "    # lora: {rank: 16, alpha: 32, targets: [all-linear]}  # adapters in its place: far less memory\n"
      "    activation_checkpointing: selective\n";
  return out + stages(modules, "    ");
}

}  // namespace

std::string import_config(const Imported& imported) {
  const config::Model& model = imported.whole.model;
  std::string out =
      cat("# Trains a ", imported.whole.model_type,
          " checkpoint as it stands. Its parts are read from the folder that they are in\n"
          "# (pretrained: FOLDER#part), of which nothing was copied or changed. Then:\n#\n"
          "#   cornstarch-train validate --config run.yaml\n"
          "#   cornstarch-train train --config run.yaml\n"
          "#   cornstarch-train export --run ",
          imported.run_dir, " --out FOLDER  # as a checkpoint of the same kind\nmodel:\n  encoders:\n");
  for (std::size_t i = 0; i < model.encoders.size(); ++i)
    out += text_of(model.encoders[i], imported.modules.at(i));
  out += text_of(model.llm, imported.modules.back());
  out +=
      cat("layout: single  # every rank a replica; `separate` spreads each modality over ranks of its own\n"
          "# sharding: zero3  # with several ranks: they share parameters, gradients and moments\n"
          "# device: cuda\n"
          "precision: ",
          imported.precision,
          "\nbatch: {microbatch_size: 1, num_microbatches: 16, sequence_length: ", imported.sequence_length,
          "}\ndata:\n  train:\n    - path: ", quoted(imported.data), "\n");
  if (!imported.media_root.empty()) out += cat("      media_root: ", quoted(imported.media_root), "\n");
  const ChosenTemplate& chat = imported.chat;
  out += cat("  tokenizer: ", quoted(imported.folder.string()), "\n");
  if (!chat.why_not_own.empty()) out += cat("  # ", chat.why_not_own, "\n");
  return out + cat("  chat_template: ", config::name_of(chat.chat), "  # ", chat.why,
                   "\noptimizer: {type: adamw, lr: 2.0e-5, weight_decay: 0.0}\n"
                   "lr_schedule: {type: cosine, warmup_steps: 30}\n"
                   "steps: 1000\nrun_dir: ",
                   quoted(imported.run_dir), "\n");
}

}  // namespace cornstarch::app
