#include "whole_table.h"

#include <algorithm>
#include <cmath>

#include "activation.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/module_kind.h"

namespace cornstarch::catalog {
namespace {

using Names = std::vector<NameRule>;

/// As files of transformers before 4.52, and all that the hub has, call them; then as its classes do since.
/// `encoder`: whose tower it is.
Names llava_names(const std::string& encoder, const Names& projector) {
  Names names = {{encoder + "_tower.", encoder, ""},
                 {"model." + encoder + "_tower.", encoder, ""},
                 {"language_model.", "llm", ""},
                 {"model.language_model.", "llm", "model."},
                 {"lm_head.", "llm", "lm_head."}};
  for (const std::string before : {"", "model."})
    for (NameRule rule : projector) {
      rule.whole.insert(0, before + "multi_modal_projector.");
      names.push_back(rule);
    }
  return names;
}

Names llava_names() {
  return llava_names("vision", {{"linear_1.", "projector", "projector.in_proj."},
                                {"linear_2.", "projector", "projector.out_proj."}});
}

Names qwen_names() {
  return {{"visual.", "vision", ""},
          {"model.visual.", "vision", ""},
          {"model.language_model.", "llm", "model."},
          {"model.", "llm", "model."},
          {"lm_head.", "llm", "lm_head."}};
}

std::vector<WholePart> qwen_parts(const std::string& type) {
  return {{"vision", "vision_config", type + "_vision", true},
          {"llm", "text_config", type + "_text", true, true}};
}

/// Which hidden states: HF counts those in front of the first layer as 0.
int feature_layer(HfConfig& whole, const ModelSpec& encoder) {
  const char* key = "vision_feature_layer";
  whole.ignore({key});
  const Json layer = whole.json().value(key, Json(-2));
  const auto most = encoder.num_layers;
  if (!layer.is_number_integer()) {
    whole.problem(key, cat("features of one layer only are supported, got ", shown(layer)));
    return -1;
  }
  const auto said = layer.get<std::int64_t>();
  if (said > most || said < -most - 1) {
    whole.problem(key, cat("is outside of the encoder's ", most, " layers: ", said));
    return -1;
  }
  return static_cast<int>(said < 0 ? said : said - most - 1);
}

void connect_llava(HfConfig& whole, const ModelSpec& encoder, config::Encoder& out) {
  out.feature_layer = feature_layer(whole, encoder);
  const auto* norm = std::get_if<Norm>(&encoder.modules.back().body);
  // HF's hidden states are those in front of it.
  out.feature_norm = out.feature_layer != -1 || norm == nullptr || norm->pooled_only;
  const char* key = "vision_feature_select_strategy";
  whole.ignore({key, "projector_hidden_act"});
  const Json strategy = whole.json().value(key, Json("default"));
  if (strategy == "default") {
    out.feature_select = config::FeatureSelect::patch;
    if (encoder.leading_tokens == 0)
      whole.problem(key, cat("\"default\" drops the first of each picture's features, a class token, which ",
                             encoder.family, " has none of: only \"full\" is supported"));
  } else if (strategy != "full") {
    whole.problem(key, cat("expected \"default\" or \"full\", got ", shown(strategy)));
  }
  out.projector.type = config::ProjectorType::mlp;
  whole.activation("projector_hidden_act", "gelu");
  const Json activation = whole.json().value("projector_hidden_act", Json());
  if (activation.is_string()) out.projector.activation = activation.get<std::string>();
  if (!whole.flag("multimodal_projector_bias", true))
    whole.problem("multimodal_projector_bias", "a projector without biases is not supported: only true");
}

/// Squares of the last layer's normed features make as many as are wanted.
void connect_gemma3(HfConfig& whole, const ModelSpec& encoder, config::Encoder& out) {
  out.projector.type = config::ProjectorType::norm_linear;
  const char* key = "mm_tokens_per_image";
  const std::int64_t wanted = whole.size(key, 256), side = fixed_extents(encoder).value_or(Extents{}).w;
  const auto tokens = static_cast<std::int64_t>(std::sqrt(static_cast<double>(wanted)));
  const std::int64_t stride = side / std::max<std::int64_t>(1, tokens);
  if (stride == 0 || side / stride * (side / stride) != wanted)
    whole.problem(key, cat(side, " x ", side, " patches cannot be averaged to ", wanted, " features"));
  out.projector.avg_pool = static_cast<int>(std::max<std::int64_t>(1, stride));
}

void connect_linear(HfConfig&, const ModelSpec&, config::Encoder& out) {
  out.projector.type = config::ProjectorType::linear;
}

void connect_nothing(HfConfig&, const ModelSpec&, config::Encoder& out) {
  out.projector.type = config::ProjectorType::none;
}

WholeSpec llava(const std::string& type) {
  return {.model_type = type,
          .parts = {{"vision", "vision_config", "clip_vision_model"}, {"llm", "text_config", "llama"}},
          .names = llava_names(),
          .connect = connect_llava};
}

std::vector<WholeSpec> make_specs() {
  WholeSpec next = llava("llava_next");
  // Of a picture as a whole; HF adds tiles of large ones, and what stands at the ends of their rows.
  for (const std::string name : {"image_newline", "model.image_newline"})
    next.names.push_back({name, "tiles", name});
  next.processors = {{"LlavaNextImageProcessor", "CLIPImageProcessor"}};
  std::vector<WholeSpec> all = {llava("llava"), std::move(next)};
  for (const std::string type : {"qwen2_vl", "qwen2_5_vl"})
    all.push_back(
        {.model_type = type, .parts = qwen_parts(type), .names = qwen_names(), .connect = connect_nothing});
  all.push_back({.model_type = "gemma3",
                 .parts = {{"vision", "vision_config", "siglip_vision_model", true},
                           {"llm", "text_config", "gemma3_text", true}},
                 .names = llava_names("vision", {{"mm_soft_emb_norm.", "projector", "projector.norm."},
                                                 {"mm_input_projection_weight", "projector",
                                                  "projector.projection.weight", true}}),
                 .processors = {{"Gemma3ImageProcessor", "SiglipImageProcessor"}},
                 .attention_mask = config::AttentionMask::image_bidirectional,
                 .connect = connect_gemma3});
  all.push_back({.model_type = "qwen2_audio",
                 .parts = {{"audio", "audio_config", "qwen2_audio_encoder"}, {"llm", "text_config", "qwen2"}},
                 .names = llava_names("audio", {{"linear.", "projector", "projector.projection."}}),
                 .connect = connect_linear});
  return all;
}

}  // namespace

const std::vector<WholeSpec>& whole_specs() {
  static const std::vector<WholeSpec> all = make_specs();
  return all;
}

const WholeSpec* find_whole_spec(const std::string& model_type) {
  const auto& all = whole_specs();
  const auto it = std::find_if(all.begin(), all.end(),
                               [&](const WholeSpec& spec) { return spec.model_type == model_type; });
  return it == all.end() ? nullptr : &*it;
}

}  // namespace cornstarch::catalog
