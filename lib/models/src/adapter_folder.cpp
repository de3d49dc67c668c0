#include "adapter_folder.h"

#include <ATen/TensorOperators.h>

#include <map>
#include <nlohmann/json.hpp>

#include "cornstarch/nn/linear.h"

namespace cornstarch::models {
namespace {

constexpr std::string_view kA = ".lora_A.weight", kB = ".lora_B.weight";

bool of_adapter(const std::string& name) { return name.ends_with(kA) || name.ends_with(kB); }

}  // namespace

std::string adapter_config(const catalog::Modality& modality) {
  using Json = nlohmann::ordered_json;
  const config::Lora& lora = *modality.lora;
  const Json none;
  const Json json = {{"peft_type", "LORA"},
                     {"task_type", catalog::is_llm(modality) ? Json("CAUSAL_LM") : none},
                     {"base_model_name_or_path", modality.pretrained ? Json(*modality.pretrained) : none},
                     {"r", lora.rank},
                     {"lora_alpha", lora.alpha},
                     {"lora_dropout", 0.0},
                     {"target_modules", lora.targets},
                     {"bias", "none"},
                     {"fan_in_fan_out", false},
                     {"init_lora_weights", true},
                     {"inference_mode", true},
                     {"modules_to_save", none}};
  return json.dump(2) + "\n";
}

std::vector<NamedTensor> merged(const catalog::Modality& modality, std::vector<NamedTensor> tensors) {
  std::map<std::string, at::Tensor> adapters;
  for (const NamedTensor& t : tensors)
    if (of_adapter(t.name)) adapters[t.name] = t.value;
  std::erase_if(tensors, [](const NamedTensor& t) { return of_adapter(t.name); });
  const double scale = modality.lora->alpha / modality.lora->rank;
  for (NamedTensor& t : tensors) {
    if (!t.name.ends_with(".weight")) continue;
    const std::string prefix = t.name.substr(0, t.name.size() - std::string_view(".weight").size());
    const auto a = adapters.find(prefix + std::string(kA)), b = adapters.find(prefix + std::string(kB));
    if (a == adapters.end() || b == adapters.end()) continue;
    const at::ScalarType wide = t.value.element_size() < 4 ? at::kFloat : t.value.scalar_type();
    t.value = t.value.to(wide).add(nn::weight_of({{a->second.to(wide)}, {b->second.to(wide)}, scale}));
  }
  return tensors;
}

}  // namespace cornstarch::models
