#pragma once

#include <string>
#include <vector>

#include "cornstarch/catalog/model_spec.h"

namespace cornstarch::catalog {

/// What the layers of a model's blocks are called that can have an adapter: "q_proj".
std::vector<std::string> lora_targets(const ModelSpec& spec);

/// Gives the layers of these names adapters. Over tp, what multiplies the side on which a layer is split is
/// split like it; the other is whole on every rank, and its gradient a sum over them.
void add_adapters(ModelSpec& spec, const std::vector<std::string>& targets, const LoraSpec& lora);

}  // namespace cornstarch::catalog
