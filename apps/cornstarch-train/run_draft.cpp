#include "run_draft.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "checks.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/config/load.h"
#include "cornstarch/dataio/tokenizer.h"
#include "cornstarch/plan/names.h"

namespace cornstarch::app {
namespace {

/// A path as YAML has it in quotes, and the config's own way of writing a dollar.
std::string quoted(const std::string& path) {
  std::string out;
  for (const char c : path) out += c == '$' ? "$$" : std::string(1, c);
  return nlohmann::json(out).dump();
}

std::string stage(const std::vector<std::string>& modules, const std::string& indent) {
  std::vector<std::string> items = plan::compress_modules(modules);
  for (std::string& item : items)
    if (item.find("..") != std::string::npos) item = cat("\"", item, "\"");
  const std::size_t width = indent.size() + 7;
  std::string out = plan::wrap(items, width, 109);
  out.replace(0, width, indent + "    - [");
  out.insert(out.size() - 1, "]");
  return out;
}

/// In so many stages of about as many modules.
std::string stages(const std::vector<std::string>& modules, int count, const std::string& indent) {
  std::string out = cat(indent, "parallel:  # with layout: separate; a list of modules for each stage\n",
                        indent, "  tp: 1\n", indent, "  stages:\n");
  const auto cut = [&](int i) { return modules.begin() + std::ssize(modules) * i / count; };
  for (int i = 0; i < count; ++i) out += stage({cut(i), cut(i + 1)}, indent);
  return out;
}

/// Stages of the language model with which replicas of separate modalities fill all GPUs: encoders take one
/// each.
int llm_stages(const RunDraft& draft) {
  const int encoders = static_cast<int>(draft.model.encoders.size()), gpus = draft.gpus.value_or(1);
  for (int replica = encoders + 1; replica <= gpus; ++replica)
    if (gpus % replica == 0)
      return std::min(replica - encoders, static_cast<int>(draft.modules.back().size()));
  return 1;
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

bool takes_sound(const config::Encoder& encoder) {
  const auto family = std::ranges::find(catalog::families(), encoder.family, &catalog::FamilyInfo::name);
  return catalog::media_of(family->kind) == catalog::MediaKind::audio;
}

std::string text_of(const config::Encoder& encoder, const std::vector<std::string>& modules, bool fresh) {
  std::string out = cat("    ", encoder.name, ":\n      family: ", encoder.family,
                        "\n      pretrained: ", quoted(*encoder.pretrained), "\n");
  out += cat("      projector: ", projector(encoder), "\n");
  if (encoder.projector.type != config::ProjectorType::none)
    out += cat("      feature_layer: ", encoder.feature_layer,
               "\n      feature_select: ", config::name_of(encoder.feature_select), "\n");
  if (!encoder.feature_norm) out += "      feature_norm: false\n";
  out += takes_sound(encoder)
             ? "      placeholder: \"<audio>\"  # stands in conversations where a recording is\n"
             : "      placeholder: \"<image>\"  # stands in conversations where a picture is\n";
  out += training(encoder, modules);
  if (fresh) out += "      optimizer: {projector: {lr: 1.0e-3}}  # it begins at random\n";
  return out + stages(modules, 1, "      ");
}

std::string text_of(const config::Llm& llm, const std::vector<std::string>& modules, int stage_count) {
  std::string out =
      cat("  llm:\n    family: ", llm.family, "\n    pretrained: ", quoted(*llm.pretrained), "\n");
  if (llm.attention_mask != config::AttentionMask::causal)
    out += cat("    attention_mask: ", config::name_of(llm.attention_mask), "\n");
  out +=
      "    train: true\n"
      "    # lora: {rank: 16, alpha: 32, targets: [all-linear]}  # adapters in its place: far less memory\n"
      "    activation_checkpointing: selective\n";
  return out + stages(modules, stage_count, "    ");
}

std::string layout(const RunDraft& draft) {
  std::string out =
      "layout: single  # every rank a replica; `separate` spreads each modality over ranks of its own\n";
  const bool several = draft.gpus.value_or(1) > 1;
  out += cat(several ? "" : "# ",
             "sharding: zero3  # with several ranks: they share parameters, gradients and moments\n");
  return cat(out, draft.gpus ? "" : "# ", "device: cuda\n");
}

/// What is wrong with a chat template for the folder's tokenizer, in a line; nothing if it can be taken.
std::optional<std::string> problem_of(config::ChatTemplate chat, const std::filesystem::path& folder) {
  for (const auto& problem : dataio::check_tokenizer(folder, {}, config::name_of(chat)).problems)
    if (problem.severity == Severity::error) return problem.message.substr(0, problem.message.find('\n'));
  return std::nullopt;
}

}  // namespace

Result<void> read_modules(RunDraft& draft) {
  const auto add = [&](const auto& model, bool encoder) -> Result<void> {
    const auto text = catalog::read_model_config(*model.pretrained);
    if (!text) return tl::unexpected(text.error());
    const auto result = catalog::make_spec(model.family, *text);
    if (!result.spec) return fail(ExitCode::bad_data, join(result.problems, "\n"), result.help);
    auto& names = draft.modules.emplace_back();
    for (const auto& module : result.spec->modules) names.push_back(module.name);
    if (encoder) names.emplace_back("projector");
    constexpr std::int64_t kUsual = 2048;
    const std::int64_t most = result.spec->max_positions;
    draft.sequence_length = most > 0 ? std::min(most, kUsual) : kUsual;
    return {};
  };
  for (const config::Encoder& encoder : draft.model.encoders)
    if (auto added = add(encoder, true); !added) return added;
  return add(draft.model.llm, false);
}

ChosenTemplate choose_template(const std::string& family, const std::filesystem::path& folder) {
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

std::string precision_of(const std::filesystem::path& folder) {
  const auto text = read_file(folder / "config.json", std::size_t{16} << 20);
  const auto json = text ? nlohmann::json::parse(*text, nullptr, false) : nlohmann::json();
  if (!json.is_object()) return "fp32";
  const auto type = json.value("dtype", json.value("torch_dtype", nlohmann::json()));
  return type == "bfloat16" || type == "float16" ? "bf16" : "fp32";
}

std::string run_yaml(const RunDraft& draft) {
  const config::Model& model = draft.model;
  std::string out = cat(draft.heading, "model:\n", model.encoders.empty() ? "" : "  encoders:\n");
  for (std::size_t i = 0; i < model.encoders.size(); ++i)
    out += text_of(model.encoders[i], draft.modules.at(i), draft.fresh_projectors);
  out += text_of(model.llm, draft.modules.back(), llm_stages(draft));
  out += cat(layout(draft), "precision: ", draft.precision,
             "\nbatch: {microbatch_size: 1, num_microbatches: ", std::max(16 / draft.gpus.value_or(1), 1),
             ", sequence_length: ", draft.sequence_length,
             "}\ndata:\n  train:\n    - path: ", quoted(draft.data), "\n");
  if (!draft.media_root.empty()) out += cat("      media_root: ", quoted(draft.media_root), "\n");
  const ChosenTemplate& chat = draft.chat;
  out += cat("  tokenizer: ", quoted(draft.tokenizer), "\n");
  if (!chat.why_not_own.empty()) out += cat("  # ", chat.why_not_own, "\n");
  return out + cat("  chat_template: ", config::name_of(chat.chat), "  # ", chat.why,
                   "\noptimizer: {type: adamw, lr: 2.0e-5, weight_decay: 0.0}\n"
                   "lr_schedule: {type: cosine, warmup_steps: 30}\n"
                   "steps: 1000\nrun_dir: ",
                   quoted(draft.run_dir), "\n");
}

bool holds(const RunDraft& draft, const std::string& text, const std::filesystem::path& file, bool has_data) {
  Diagnostics diagnostics;
  std::vector<std::string> overrides;
  if (!has_data)  // any file will do
    overrides.push_back(cat("data.train[0].path=", draft.tokenizer, "/config.json"));
  auto loaded = config::load_text(text, file.string(), std::filesystem::absolute(file).parent_path(),
                                  overrides, diagnostics);
  auto modalities = loaded ? catalog::resolve(*loaded, diagnostics) : std::nullopt;
  if (modalities) check_inputs({std::move(*loaded), std::move(*modalities)}, diagnostics);
  std::fputs(render_text(diagnostics).c_str(), stderr);
  return !diagnostics.has_errors();
}

}  // namespace cornstarch::app
