#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/catalog/model_spec.h"
#include "cornstarch/config/run_config.h"

namespace cornstarch::catalog {

struct FamilyInfo {
  std::string name;  ///< HF model_type: "clip_vision_model", "whisper", "llama", "mistral"
  ModelKind kind = ModelKind::llm;
  std::string description;
  /// Of language models: the chat templates that published ones have learnt, likeliest first.
  std::vector<config::ChatTemplate> chat_templates = {};
};

/// Every family that this build knows.
const std::vector<FamilyInfo>& families();

/// The family of models whose config.json has this model_type; nothing if there is none.
std::optional<std::string> family_of(const std::string& model_type);

/// All problems of a config.json, one line each: the key, ": " and what is wrong
/// ("hidden_size: expected a positive integer, got \"x\""). Keys within a section are
/// "vision_config.hidden_size". For a problem of the text as a whole the key is "config.json".
struct SpecResult {
  std::optional<ModelSpec> spec;
  std::vector<std::string> problems;
  std::string help = {};          ///< what to do about them, where it is not what they say
  bool whole_checkpoint = false;  ///< the only problem: it is of several models in one folder
  /// Keys that HF's class has none of: in a file by Hugging Face harmless, in one by hand a slip of the pen.
  std::vector<std::string> unknown_keys;
  std::vector<std::string> known_keys;  ///< of the family, for suggestions
};

/// The spec of a family for the text of an HF config.json (old or new transformers spelling; missing keys
/// have the HF class's defaults). A nested `vision_config` / `text_config` is taken where the family's own
/// keys live in one. Options that the family does not implement (another activation, dropout,
/// attention_bias..., rope types) are problems, never ignored.
SpecResult make_spec(const std::string& family, const std::string& hf_config_json);

/// The config.json of a folder that holds the spec's weights in a type ("float32", as transformers spells
/// it), in the old spelling, which transformers of any version reads.
std::string config_json(const ModelSpec& spec, const std::string& torch_dtype);

/// Whether a parameter is one of an encoder's projector, which has files of its own.
bool of_projector(const std::string& param);

/// The names under which a weights file may hold `param` of `family`, the one we write first (old spelling);
/// readers try them in order. E.g. clip: "vision_model.embeddings.class_embedding",
/// "embeddings.class_embedding".
std::vector<std::string> weight_names(const std::string& family, const std::string& param);

/// Of a parameter: where files hold several as one, of that; an adapter's in adapter_model.safetensors, the
/// first as PEFT writes it: "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight".
std::vector<std::string> weight_names(const std::string& family, const ParamSpec& param);

}  // namespace cornstarch::catalog
