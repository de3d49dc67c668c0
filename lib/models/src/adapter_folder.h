#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cornstarch/models/weights.h"

/// Adapters as PEFT keeps them: adapter_config.json beside adapter_model.safetensors.
namespace cornstarch::models {

/// adapter_config.json of the modality's adapters.
std::string adapter_config(const catalog::Modality& modality);

/// The weights with what the adapters add to them; the adapters are gone.
std::vector<NamedTensor> merged(const catalog::Modality& modality, std::vector<NamedTensor> tensors);

}  // namespace cornstarch::models
