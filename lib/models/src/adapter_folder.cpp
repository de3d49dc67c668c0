#include "adapter_folder.h"

#include <ATen/TensorOperators.h>

#include <map>
#include <nlohmann/json.hpp>

#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/catalog/lora.h"
#include "cornstarch/nn/linear.h"

namespace cornstarch::models {
namespace {

using Json = nlohmann::ordered_json;

/// What names have in front where our model is a part of PEFT's, as in Whisper; else "".
std::string prefix_of(const catalog::Modality& modality) {
  for (const catalog::ModuleSpec& module : modality.spec.modules)
    for (const catalog::ParamSpec& param : module.params) {
      if (!param.of_adapter) continue;
      const std::string theirs =
          catalog::weight_names(modality.spec.family, param).front().substr(catalog::kPeftPrefix.size());
      return theirs.ends_with("." + param.name) ? theirs.substr(0, theirs.size() - param.name.size()) : "";
    }
  return "";
}

/// The layers' names, or an expression where layers of other parts have such names, too.
Json targets_of(const catalog::Modality& modality) {
  std::string prefix = prefix_of(modality);
  if (prefix.empty()) return modality.lora->targets;
  for (std::size_t i = 0; (i = prefix.find('.', i)) != std::string::npos; i += 2) prefix.insert(i, "\\");
  return cat(prefix, ".*\\.(", join(modality.lora->targets, "|"), ")");
}

}  // namespace

std::string adapter_config(const catalog::Modality& modality) {
  const config::Lora& lora = *modality.lora;
  const Json none;
  const Json json = {{"peft_type", "LORA"},
                     {"task_type", catalog::is_llm(modality) ? Json("CAUSAL_LM") : none},
                     {"base_model_name_or_path", modality.pretrained ? Json(*modality.pretrained) : none},
                     {"r", lora.rank},
                     {"lora_alpha", lora.alpha},
                     {"lora_dropout", lora.dropout},
                     {"target_modules", targets_of(modality)},
                     {"bias", "none"},
                     {"fan_in_fan_out", false},
                     {"init_lora_weights", true},
                     {"inference_mode", true},
                     {"modules_to_save", none}};
  return json.dump(2) + "\n";
}

std::vector<NamedTensor> merged(const catalog::Modality& modality, std::vector<NamedTensor> tensors) {
  std::map<std::string, at::Tensor> values;
  for (const NamedTensor& t : tensors) values[t.name] = t.value;
  for (const catalog::LinearSpec* layer : catalog::adapted_layers(modality.spec)) {
    at::Tensor& weight = values.at(layer->prefix + ".weight");
    const at::ScalarType wide = weight.element_size() < 4 ? at::kFloat : weight.scalar_type();
    const auto take = [&](const std::string& name) {
      return nn::Linear{values.extract(name).mapped().to(wide)};
    };
    const nn::Adapter adapter{take(catalog::lora_a(*layer)), take(catalog::lora_b(*layer)),
                              layer->lora->scale};
    weight = weight.to(wide).add(nn::weight_of(adapter));
  }
  std::erase_if(tensors, [&](const NamedTensor& t) { return !values.contains(t.name); });
  for (NamedTensor& t : tensors) t.value = values.at(t.name);
  return tensors;
}

}  // namespace cornstarch::models
