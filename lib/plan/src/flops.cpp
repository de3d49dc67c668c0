#include "cornstarch/plan/flops.h"

#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/plan/item_layout.h"

namespace cornstarch::plan {
namespace {

/// Of a forward and backward: one, two or three times a forward. A weight that is frozen beside an adapter
/// that trains hands gradients on, and has none.
catalog::Flops pass_flops(const catalog::ModuleSpec& module, bool upstream) {
  const bool trains = catalog::trains(module);
  const double factor = trains ? 3 : upstream ? 2 : 1;
  const catalog::Flops once = catalog::flops_of(module);
  const double frozen = trains && once.of_adapters > 0 ? once.per_place - once.of_adapters : 0;
  return {factor * once.per_place - frozen, factor * once.per_pair};
}

/// Calls visit(index of the module, its flops) for each module that is used; returns whether any of them
/// trains. `upstream`: whether something in front of the modality trains.
template <typename Visit>
bool for_each_pass(const catalog::Modality& modality, bool upstream, Visit visit) {
  for (std::size_t m = 0; m < modality.spec.modules.size(); ++m) {
    if (!modality.used[m]) continue;
    const catalog::ModuleSpec& module = modality.spec.modules[m];
    visit(m, pass_flops(module, upstream));
    upstream = upstream || catalog::trains(module);
  }
  return upstream;
}

/// Pairs of an item's tokens that see each other.
double pairs_of(const catalog::ModuleSpec& module, const catalog::Extents& item, double tokens) {
  const catalog::AttentionSpec* attention = catalog::attention_of(module);
  const std::int64_t window = attention == nullptr ? 0 : attention->window;
  const auto times = static_cast<double>(item.t);
  if (window == 0) return tokens * tokens / times;
  // Squares as wide as the window, and what is left of the grid.
  const auto along = [&](std::int64_t side) {
    const std::int64_t whole = side / window, rest = side % window;
    return static_cast<double>(whole * window * window + rest * rest);
  };
  return times * along(item.h) * along(item.w);
}

}  // namespace

double item_flops(const catalog::Modality& encoder, const catalog::Extents& item) {
  const std::vector<Range> places = held_places(encoder.spec, item, 1, 0);
  double sum = 0;
  for_each_pass(encoder, false, [&](std::size_t m, const catalog::Flops& of) {
    const catalog::ModuleSpec& module = encoder.spec.modules[m];
    const auto rows = static_cast<double>(catalog::is_projector(module) ? catalog::features_of(encoder, item)
                                                                        : places[m + 1].size());
    sum += of.per_place * rows + of.per_pair * pairs_of(module, item, rows);
  });
  return sum;
}

StepFlops step_flops(const catalog::Modalities& modalities, const StepCounts& counts) {
  StepFlops flops;
  bool trains = false;
  for (std::size_t e = 0; e + 1 < modalities.size(); ++e)
    trains |= for_each_pass(modalities[e], false, [](std::size_t, const catalog::Flops&) {});
  flops.masked = flops.full_attention = counts.items;
  for_each_pass(modalities.back(), trains, [&](std::size_t m, const catalog::Flops& of) {
    const catalog::ModuleSpec& module = modalities.back().spec.modules[m];
    const bool head = catalog::role_of(module) == catalog::Role::head;
    const double linear = of.per_place * (head ? counts.targets : counts.tokens);
    flops.masked += linear + of.per_pair * counts.visible_pairs;
    flops.full_attention += linear + of.per_pair * counts.token_pairs;
  });
  return flops;
}

}  // namespace cornstarch::plan
