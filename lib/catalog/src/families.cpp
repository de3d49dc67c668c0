#include "cornstarch/catalog/families.h"

#include <algorithm>

#include "cornstarch/base/checked.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"
#include "cornstarch/catalog/lora.h"
#include "family.h"
#include "model_type.h"

namespace cornstarch::catalog {
namespace {

const std::vector<const Family*>& all_families() {
  static const std::vector<const Family*> list = {&clip_family(),
                                                  &siglip_family(),
                                                  &dinov2_family(),
                                                  &whisper_family(),
                                                  &qwen2_audio_family(),
                                                  &qwen2_vl_vision_family(),
                                                  &qwen2_5_vl_vision_family(),
                                                  &llama_family(),
                                                  &mistral_family(),
                                                  &qwen2_family(),
                                                  &qwen2_vl_text_family(),
                                                  &qwen2_5_vl_text_family(),
                                                  &qwen3_family(),
                                                  &gemma2_family(),
                                                  &gemma3_text_family(),
                                                  &olmo2_family()};
  return list;
}

bool is_map(const Json& json, const std::string& key) { return json.contains(key) && json[key].is_object(); }

/// The part of a config.json that holds the family's keys, and its name ("" for the top level).
struct Section {
  Json json;
  std::string name;
};

bool is_one_of(const std::vector<std::string>& names, const Json& value) {
  return value.is_string() && std::count(names.begin(), names.end(), value.get<std::string>()) > 0;
}

Section find_section(const Family& family, const Json& json) {
  if (family.section.empty()) return {json, ""};
  // Old CLIP files have both; the complete one is `..._dict`, as CLIPConfig reads it.
  for (const std::string& name : {family.section + "_dict", family.section}) {
    if (is_map(json, name)) return {json[name], name};
  }
  const Json type = json.value("model_type", Json());
  const bool container = type.is_string() && type != family.info.name && is_one_of(family.model_types, type);
  if (container) return {Json::object(), family.section};  // a larger model's file, all defaults
  return {json, ""};
}

/// A config.json that transformers of any version reads: old spelling, with the class of what we export. Of
/// which type its weights are is known when they are written (config_json).
std::string exported(const Family& family, const ModelSpec& spec, Json section) {
  if (is_map(section, "rope_parameters")) {
    Json rope = section["rope_parameters"];
    if (is_map(rope, "sliding_attention") || is_map(rope, "full_attention")) {  // by type of layer
      if (is_map(rope, "sliding_attention") && rope["sliding_attention"].contains("rope_theta"))
        section["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"];
      rope = is_map(rope, "full_attention") ? rope["full_attention"] : Json::object();
    }
    if (!is_map(section, "rope_scaling") || section["rope_scaling"].empty()) {
      if (rope.contains("rope_theta")) section["rope_theta"] = rope["rope_theta"];
      rope.erase("rope_theta");
      rope.erase("partial_rotary_factor");
      const bool scaled = rope.value("rope_type", rope.value("type", Json("default"))) != "default" ||
                          rope.contains("mrope_section");
      section["rope_scaling"] = scaled ? rope : Json();
    }
  }
  for (const char* key : {"rope_parameters", "dtype", "torch_dtype"}) section.erase(key);
  section["model_type"] = family.info.name;
  section["architectures"] = {family.architecture};
  if (family.complete) family.complete(spec, section);
  return section.dump(2) + "\n";
}

/// A parameter's name with each of the prefixes in place of the family's own.
std::vector<std::string> names_under(const std::vector<std::string>& prefixes, const Family& family,
                                     const std::string& param) {
  const std::string stem = param.substr(family.cut_prefix.size());
  std::vector<std::string> names;
  for (const std::string& prefix : prefixes) names.push_back(prefix + stem);
  return names;
}

/// Sizes are bounded one by one; their products must fit, too.
void check_numel(const ModelSpec& spec, HfConfig& config) {
  std::optional<std::int64_t> total = 0;
  for (const ModuleSpec& module : spec.modules) {
    for (const ParamSpec& param : module.params) {
      const auto numel = checked_numel(param.shape);
      if (numel && total) total = checked_add(*total, *numel);
      if (numel && total) continue;
      config.problem("config.json", cat("the model is too large to count its parameters, at ", param.name));
      return;
    }
  }
}

}  // namespace

const Family* find_family(const std::string& name) {
  for (const Family* family : all_families()) {
    if (family->info.name == name) return family;
  }
  return nullptr;
}

const std::vector<FamilyInfo>& families() {
  static const std::vector<FamilyInfo> infos = [] {
    std::vector<FamilyInfo> out;
    for (const Family* family : all_families()) out.push_back(family->info);
    return out;
  }();
  return infos;
}

std::optional<std::string> family_of(const std::string& model_type) {
  const Family* family = family_of_type(model_type);
  return family == nullptr ? std::nullopt : std::optional(family->info.name);
}

SpecResult make_spec(const std::string& family_name, const std::string& hf_config_json) {
  SpecResult result;
  const Family* family = find_family(family_name);
  if (!family) {
    result.problems.push_back(cat("config.json: unknown family '", family_name, "'"));
    return result;
  }
  constexpr std::size_t kMostDeep = 64;
  if (nests_deeper(hf_config_json, kMostDeep)) {
    result.problems.push_back(cat("config.json: nested deeper than ", kMostDeep, " levels"));
    return result;
  }
  const Json json = Json::parse(hf_config_json, nullptr, false);
  if (!json.is_object()) {
    result.problems.push_back(json.is_discarded() ? "config.json: this is not JSON"
                                                  : "config.json: expected a JSON object");
    return result;
  }
  Section section = find_section(*family, json);
  const std::string prefix = section.name.empty() ? "" : section.name + ".";
  const std::string quantization = "quantization_config";  // stands outside of the sections
  if (json.contains(quantization)) section.json[quantization] = json[quantization];
  if (auto wrong = check_model_type(*family, json, section.json, section.name); !wrong.problem.empty()) {
    result.problems.push_back(std::move(wrong.problem));
    result.help = std::move(wrong.help);
    result.whole_checkpoint = wrong.whole_checkpoint;
    return result;
  }
  HfConfig config(std::move(section.json));
  config.require_absent(quantization, "quantized weights are not supported");
  ModelSpec spec{.family = family->info.name, .kind = family->info.kind};
  family->build(config, spec);
  check_numel(spec, config);
  for (const std::string& problem : config.problems()) {
    const bool of_text = problem.rfind("config.json: ", 0) == 0;
    result.problems.push_back(of_text ? problem : prefix + problem);
  }
  for (const std::string& key : config.unknown_keys()) result.unknown_keys.push_back(prefix + key);
  result.known_keys = config.known_keys();
  if (!result.problems.empty()) return result;
  spec.hf_config = exported(*family, spec, config.json());
  result.spec = std::move(spec);
  return result;
}

std::string config_json(const ModelSpec& spec, const std::string& torch_dtype) {
  Json json = Json::parse(spec.hf_config);
  json["torch_dtype"] = torch_dtype;
  return json.dump(2) + "\n";
}

bool of_projector(const std::string& param) { return param.starts_with("projector."); }

std::vector<std::string> weight_names(const std::string& family_name, const std::string& param) {
  const Family* family = find_family(family_name);
  const bool ours = family && param.rfind(family->cut_prefix, 0) == 0 && !of_projector(param);
  if (!ours) return {param};
  return names_under(family->weight_prefixes, *family, param);
}

std::vector<std::string> weight_names(const std::string& family_name, const ParamSpec& param) {
  if (!param.of_adapter) return weight_names(family_name, stored_name(param));
  const Family& family = *find_family(family_name);
  const auto& prefixes = family.adapter_prefixes.empty() ? family.weight_prefixes : family.adapter_prefixes;
  std::vector<std::string> names = names_under(prefixes, family, stored_name(param));
  for (std::string& name : names) name.insert(0, kPeftPrefix);
  return names;
}

}  // namespace cornstarch::catalog
