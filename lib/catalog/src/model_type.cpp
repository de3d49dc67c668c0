#include "model_type.h"

#include <fnmatch.h>

#include <algorithm>

#include "cornstarch/base/text.h"
#include "cornstarch/catalog/whole_model.h"

namespace cornstarch::catalog {
namespace {

using Names = std::vector<std::string>;

/// A checkpoint of several models, and of what HF's config class makes it by default.
struct Whole {
  std::string model_type;
  Names parts;
};

const std::vector<Whole>& whole_checkpoints() {
  static const std::vector<Whole> list = {
      {"aya_vision", {"siglip_vision_model", "cohere2"}},
      {"blip-2", {"blip_2_vision_model", "opt"}},
      {"deepseek_vl", {"siglip_vision_model", "llama"}},
      {"deepseek_vl_v2", {}},
      {"gemma3", {"siglip_vision_model", "gemma3_text"}},
      {"gemma3n", {"gemma3n_vision", "gemma3n_audio", "gemma3n_text"}},
      {"gemma4", {"gemma4_vision", "gemma4_audio", "gemma4_text"}},
      {"glm4v", {"glm4v_vision", "glm4v_text"}},
      {"granite_speech", {"granite_speech_encoder", "granite"}},
      {"idefics2", {"idefics2_vision", "mistral"}},
      {"idefics3", {"idefics3_vision", "llama"}},
      {"internvl", {"internvl_vision", "qwen2"}},
      {"internvl_chat", {"intern_vit_6b", "qwen2"}},
      {"kimi_vl", {}},
      {"llama4", {"llama4_vision_model", "llama4_text"}},
      {"llava", {"clip_vision_model", "llama"}},
      {"llava_llama", {"clip_vision_model", "llama"}},
      {"llava_mistral", {"clip_vision_model", "mistral"}},
      {"llava_next", {"clip_vision_model", "llama"}},
      {"llava_next_video", {"clip_vision_model", "llama"}},
      {"llava_onevision", {"siglip_vision_model", "qwen2"}},
      {"llava_qwen", {"siglip_vision_model", "qwen2"}},
      {"minicpmo", {}},
      {"minicpmv", {}},
      {"mistral3", {"pixtral", "mistral"}},
      {"mllama", {"mllama_vision_model", "mllama_text_model"}},
      {"molmo", {}},
      {"ovis2", {"aimv2", "qwen2"}},
      {"paligemma", {"siglip_vision_model", "gemma"}},
      {"phi3_v", {"clip_vision_model", "phi3"}},
      {"phi4_multimodal", {"phi4_multimodal_vision", "phi4_multimodal_audio", "phi3"}},
      {"phi4mm", {"phi4_multimodal_vision", "phi4_multimodal_audio", "phi3"}},
      {"qwen2_5_omni", {}},
      {"qwen2_5_vl", {"qwen2_5_vl_vision", "qwen2_5_vl_text"}},
      {"qwen2_audio", {"qwen2_audio_encoder", "qwen2"}},
      {"qwen2_vl", {"qwen2_vl_vision", "qwen2_vl_text"}},
      {"qwen3_omni_moe", {}},
      {"qwen3_vl", {"qwen3_vl_vision", "qwen3_vl_text"}},
      {"qwen3_vl_moe", {"qwen3_vl_moe_vision", "qwen3_vl_moe_text"}},
      {"smolvlm", {"smolvlm_vision", "llama"}},
      {"ultravox", {"whisper", "llama"}},
      {"video_llava", {"clip_vision_model", "llama"}},
      {"vipllava", {"clip_vision_model", "llama"}},
      {"voxtral", {"voxtral_encoder", "llama"}}};
  return list;
}

/// Models of their own whose names are near to one of ours.
const Names& other_models() {
  static const Names list = {"aimv2_vision_model",
                             "align_vision_model",
                             "altclip_vision_model",
                             "blip_2_vision_model",
                             "blip_vision_model",
                             "chinese_clip_vision_model",
                             "clap_audio_model",
                             "clipseg_vision_model",
                             "git_vision_model",
                             "groupvit_vision_model",
                             "instructblip_vision_model",
                             "janus_vision_model",
                             "llama4_text",
                             "llama4_vision_model",
                             "metaclip_2_vision_model",
                             "ministral",
                             "ministral3",
                             "mistral4",
                             "mixtral",
                             "mlcd_vision_model",
                             "mllama_vision_model",
                             "owlv2_vision_model",
                             "owlvit_vision_model",
                             "pixtral",
                             "sam2_vision_model",
                             "sam_vision_model",
                             "siglip2_vision_model",
                             "xclip_vision_model"};
  return list;
}

bool contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

const Whole* find_whole(const std::string& model_type) {
  const auto& list = whole_checkpoints();
  const auto it =
      std::find_if(list.begin(), list.end(), [&](const Whole& w) { return w.model_type == model_type; });
  return it == list.end() ? nullptr : &*it;
}

std::string known_both() { return cat(known_families(false), "; ", known_families(true)); }

std::string help_for(const std::string& whole, const Names& parts) {
  if (parts.empty())
    return cat("an encoder and a language model are declared separately, each with a folder of its own; ",
               known_both());
  Names known, unknown;
  for (const std::string& part : parts) {
    const Family* family = family_of_type(part);
    if (!family) {
      unknown.push_back(part);
    } else if (family->info.kind == ModelKind::llm) {
      known.push_back(cat("its language model under model.llm (family: ", family->info.name, ")"));
    } else {
      known.push_back(cat("its encoder under model.encoders (family: ", family->info.name, ")"));
    }
  }
  Names places = parts_of_whole(whole);
  for (std::string& place : places) place.insert(0, "FOLDER#");
  if (unknown.empty() && !places.empty())
    return cat("declare its parts separately, each read from the whole by its name (pretrained: ",
               join(places, ", "), "): ", join(known, ", "),
               "; 'cornstarch-train import' writes such a config");
  if (unknown.empty())
    return cat("declare its parts separately, each with a folder of its own: ", join(known, ", "));
  return cat("it is made of ", join(parts, " and "), ", and ", join(unknown, " and "),
             unknown.size() == 1 ? " is not known here; " : " are not known here; ", known_both());
}

/// Model types of the sections of a config.json that have one of these names.
Names types_of(const Json& config, std::initializer_list<const char*> names) {
  Names types;
  for (const char* name : names) {
    const auto section = config.find(name);
    if (section == config.end() || !section->is_object()) continue;
    const Json type = section->value("model_type", Json());
    if (type.is_string()) types.push_back(type.get<std::string>());
  }
  return types;
}

/// The model types of the parts, encoders first, where a config.json names those of a whole checkpoint. A
/// CLIP-like pair of towers, whose text tower is a *_text_model, is none.
Names parts_of(const Json& config, const std::string& own_type) {
  Names parts = types_of(config, {"vision_config", "audio_config"});
  const Names texts = types_of(config, {"text_config", "llm_config", "language_config"});
  if (parts.empty() || texts.empty() || ::fnmatch("*_text_model", texts.front().c_str(), 0) == 0) return {};
  parts.push_back(texts.front());
  return contains(parts, own_type) ? Names{} : parts;
}

/// Of the model that the whole file is of.
TypeProblem check_type(const Family& family, const Json& config, const std::string& key) {
  const Json type = config.value("model_type", Json());
  if (type.is_null()) return {};
  if (!type.is_string()) return {cat(key, ": expected a text, got ", shown(type)), {}};
  const std::string name = type.get<std::string>();
  if (contains(family.model_types, name)) return {};
  if (const Family* other = family_of_type(name))
    return {cat(key, ": it is of family '", other->info.name, "', not '", family.info.name, "'"),
            other->info.kind == family.info.kind ? cat("set family: ", other->info.name) : ""};
  const Whole* whole = find_whole(name);
  const Names parts = parts_of(config, name);
  if (whole || !parts.empty())
    return {cat(key, ": '", name, "' is a whole checkpoint: encoder and language model in one"),
            help_for(name, parts.empty() ? whole->parts : parts), true};
  return {cat(key, ": family '", name, "' is not known"), known_families(family.info.kind == ModelKind::llm)};
}

/// HF's class names say the same as model_type, and cannot be mistaken for it.
TypeProblem check_architectures(const Family& family, const Json& config) {
  const auto classes = config.find("architectures");
  if (classes == config.end() || !classes->is_array()) return {};
  Names written;
  for (const Json& name : *classes) {
    if (!name.is_string()) continue;
    written.push_back(name.get<std::string>());
    if (written.back() == family.architecture || contains(family.architectures, written.back())) return {};
  }
  if (written.empty()) return {};
  Names ours = {family.architecture};
  ours.insert(ours.end(), family.architectures.begin(), family.architectures.end());
  return {cat("architectures: ", join(written, ", "), " is not of family '", family.info.name,
              "', which has ", join(ours, ", ")),
          known_families(family.info.kind == ModelKind::llm)};
}

}  // namespace

const Family* family_of_type(const std::string& model_type) {
  for (const FamilyInfo& info : families()) {
    const Family* family = find_family(info.name);
    if (contains(family->model_types, model_type)) return family;
  }
  return nullptr;
}

TypeProblem check_model_type(const Family& family, const Json& config, const Json& section,
                             const std::string& name) {
  TypeProblem found = check_type(family, config, "model_type");
  if (found.problem.empty()) found = check_architectures(family, config);
  if (found.problem.empty() && !name.empty()) found = check_type(family, section, name + ".model_type");
  return found;
}

bool is_whole_checkpoint(const std::string& model_type) { return find_whole(model_type) != nullptr; }

std::string parts_help(const std::string& model_type) {
  const Whole* whole = find_whole(model_type);
  return whole ? help_for(model_type, whole->parts) : "";
}

bool is_other_model(const std::string& model_type) { return contains(other_models(), model_type); }

Names family_names(bool llm) {
  Names names;
  for (const FamilyInfo& info : families()) {
    if ((info.kind == ModelKind::llm) == llm) names.push_back(info.name);
  }
  return names;
}

std::string known_families(bool llm) {
  return cat(llm ? "known language models: " : "known encoders: ", join(family_names(llm), ", "));
}

}  // namespace cornstarch::catalog
