#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cornstarch/catalog/model_spec.h"

namespace cornstarch::catalog {

/// What the layers of a model's blocks are called that can have an adapter: "q_proj". Not those of which
/// files hold several as one: PEFT would have one adapter for all of them.
std::vector<std::string> lora_targets(const ModelSpec& spec);

/// Gives the layers of these names adapters. Over tp, what multiplies the side on which a layer is split is
/// split like it; the other is whole on every rank, and its gradient a sum over them.
void add_adapters(ModelSpec& spec, const std::vector<std::string>& targets, const LoraSpec& lora);

/// The layers that have one.
std::vector<const LinearSpec*> adapted_layers(const ModelSpec& spec);

// What an adapter's parameters are called, and what stands before all names in PEFT's files.
inline std::string lora_a(const LinearSpec& layer) { return layer.prefix + ".lora_A.weight"; }
inline std::string lora_b(const LinearSpec& layer) { return layer.prefix + ".lora_B.weight"; }
inline constexpr std::string_view kPeftPrefix = "base_model.model.";

}  // namespace cornstarch::catalog
