#include "cornstarch/plan/flops.h"

#include <variant>

namespace cornstarch::plan {
namespace {

/// Calls visit(module, pass factor) for each module that is used; returns whether any of them trains.
/// `upstream`: whether something in front of the modality trains.
template <typename Visit>
bool for_each_pass(const catalog::Modality& modality, bool upstream, Visit visit) {
  for (std::size_t m = 0; m < modality.spec.modules.size(); ++m) {
    if (!modality.used[m]) continue;
    const catalog::ModuleSpec& module = modality.spec.modules[m];
    const double factor = catalog::trains(module) ? 3 : upstream ? 2 : 1;
    upstream = upstream || catalog::trains(module);
    visit(module, factor);
  }
  return upstream;
}

}  // namespace

StepFlops step_flops(const catalog::Modalities& modalities, const StepCounts& counts) {
  StepFlops flops;
  bool trains = false;
  for (std::size_t e = 0; e + 1 < modalities.size(); ++e) {
    const auto per_item = static_cast<double>(modalities[e].spec.tokens_per_item);
    const auto features = static_cast<double>(modalities[e].features_per_item);
    trains |= for_each_pass(modalities[e], false, [&](const catalog::ModuleSpec& module, double factor) {
      const bool projector = std::holds_alternative<catalog::Projector>(module.body);
      const double of_item = module.flops_per_token * (projector ? features : per_item) +
                             module.flops_per_token_pair * per_item * per_item;
      flops.masked += factor * counts.items.at(e) * of_item;
    });
  }
  flops.full_attention = flops.masked;
  for_each_pass(modalities.back(), trains, [&](const catalog::ModuleSpec& module, double factor) {
    const bool head = std::holds_alternative<catalog::LmHead>(module.body);
    const double linear = factor * module.flops_per_token * (head ? counts.targets : counts.tokens);
    const double pair = factor * module.flops_per_token_pair;
    flops.masked += linear + pair * counts.visible_pairs;
    flops.full_attention += linear + pair * counts.token_pairs;
  });
  return flops;
}

}  // namespace cornstarch::plan
