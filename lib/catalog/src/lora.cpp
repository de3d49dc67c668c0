#include "cornstarch/catalog/lora.h"

#include <algorithm>
#include <cmath>

namespace cornstarch::catalog {
namespace {

std::string target_of(const LinearSpec& linear) { return linear.prefix.substr(linear.prefix.rfind('.') + 1); }

void add_adapter(ModuleSpec& module, LinearSpec& linear, const LoraSpec& lora) {
  const TpSplit split = std::find_if(module.params.begin(), module.params.end(), [&](const ParamSpec& p) {
                          return p.name == linear.prefix + ".weight";
                        })->split;
  // A has the variance of PEFT's (Kaiming's uniform distribution with a = sqrt(5)).
  ParamSpec a{.name = lora_a(linear),
              .shape = {lora.rank, linear.in},
              .init = Init::normal,
              .init_std = 1 / std::sqrt(3.0 * static_cast<double>(linear.in))};
  ParamSpec b{.name = lora_b(linear), .shape = {linear.out, lora.rank}};
  if (split.dim == 0) b.split = split;
  if (split.dim == 1) a.split = split;
  a.sums_over_tp = split.dim == 0;
  b.sums_over_tp = split.dim == 1;
  for (ParamSpec* param : {&a, &b}) {
    param->of_adapter = true;
    module.params.push_back(*param);
  }
  linear.lora = lora;
}

}  // namespace

std::vector<std::string> lora_targets(const ModelSpec& spec) {
  std::vector<std::string> out;
  for (const ModuleSpec& module : spec.modules) {
    const auto* block = std::get_if<BlockSpec>(&module.body);
    if (block == nullptr) continue;
    for (const LinearSpec* linear : linears_of(*block)) {
      if (linear->stacked || std::find(out.begin(), out.end(), target_of(*linear)) != out.end()) continue;
      out.push_back(target_of(*linear));
    }
  }
  return out;
}

void add_adapters(ModelSpec& spec, const std::vector<std::string>& targets, const LoraSpec& lora) {
  for (ModuleSpec& module : spec.modules) {
    auto* block = std::get_if<BlockSpec>(&module.body);
    if (block == nullptr) continue;
    for (LinearSpec* linear : linears_of(*block))
      if (std::find(targets.begin(), targets.end(), target_of(*linear)) != targets.end())
        add_adapter(module, *linear, lora);
  }
}

std::vector<const LinearSpec*> adapted_layers(const ModelSpec& spec) {
  std::vector<const LinearSpec*> out;
  for (const ModuleSpec& module : spec.modules)
    if (const auto* block = std::get_if<BlockSpec>(&module.body))
      for (const LinearSpec* linear : linears_of(*block))
        if (linear->lora) out.push_back(linear);
  return out;
}

}  // namespace cornstarch::catalog
