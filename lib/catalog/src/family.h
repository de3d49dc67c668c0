#pragma once

#include <string>
#include <vector>

#include "cornstarch/catalog/families.h"
#include "hf_config.h"

namespace cornstarch::catalog {

/// What a weight that a model has no place for tells about the folder it lies in.
struct Telltale {
  std::string pattern;  ///< as fnmatch(3): "*.self_attn.q_norm.weight"
  std::string meaning;
};

/// What a family's own file says; families.cpp has the list.
struct Family {
  FamilyInfo info;
  std::string section;                   ///< where a config.json of a larger model keeps this family's keys
  std::vector<std::string> model_types;  ///< of the config.json files whose `section` (or top level) it reads
  std::string architecture;              ///< HF class of what is exported
  std::vector<std::string> architectures = {};  ///< other HF classes whose config.json and weights it reads
  /// Fills everything but family, kind and hf_config. Called once; problems stay in the config.
  void (*build)(HfConfig& config, ModelSpec& spec);
  /// Prefixes that a weights file may have before (first: what is written), and what is cut from the name
  /// first.
  std::string cut_prefix;
  std::vector<std::string> weight_prefixes;
  /// The same of adapters, which PEFT keeps as the class names its modules now; none: of weights.
  std::vector<std::string> adapter_prefixes = {};
  /// Weights beside the family's own that a folder may hold: patterns as fnmatch(3).
  std::vector<std::string> ignored_weights = {};
  std::vector<Telltale> telltales = {};  ///< of other weights; the first that fits one of them is told
  /// Makes a config.json complete for an HF class that builds more than we do.
  void (*complete)(const ModelSpec& spec, Json& config) = nullptr;
};

const Family& clip_family();
const Family& siglip_family();
const Family& dinov2_family();
const Family& whisper_family();
const Family& qwen2_audio_family();
const Family& llama_family();
const Family& mistral_family();
const Family& qwen2_family();
const Family& qwen2_vl_text_family();
const Family& qwen2_5_vl_text_family();
const Family& qwen2_vl_vision_family();
const Family& qwen2_5_vl_vision_family();
const Family& qwen3_family();
const Family& gemma2_family();
const Family& gemma3_text_family();
const Family& olmo2_family();

/// Nothing if this build does not know it.
const Family* find_family(const std::string& name);

}  // namespace cornstarch::catalog
