#include "cornstarch/plan/item_parts.h"

#include <algorithm>

#include "cornstarch/catalog/module_kind.h"

namespace cornstarch::plan {
Range item_places(const catalog::ModelSpec& spec, int module, int sp, int cp) {
  std::vector<std::int64_t> places = {spec.item_shape.back()};  // before each module, and behind the last
  for (const catalog::ModuleSpec& m : spec.modules)
    places.push_back(catalog::places_behind(m, places.back()));
  std::int64_t together = 1;
  for (const catalog::ModuleSpec& m : spec.modules) together = std::max(together, catalog::dealt_together(m));
  Range held = share(places.back() / together, sp, cp);
  held = {held.begin * together, held.end * together};
  for (auto m = static_cast<int>(spec.modules.size()); --m > module;) {
    const auto at = static_cast<std::size_t>(m);
    held = catalog::places_before(spec.modules[at], held, places[at]);
  }
  return held;
}

Range item_features(const catalog::Modality& modality, int sp, int cp) {
  const int last = static_cast<int>(modality.spec.modules.size()) - 1;
  const Range held = item_places(modality.spec, last, sp, cp);
  // Where features are averaged, those that are dropped are gone already.
  const std::int64_t drop = item_places(modality.spec, last, 1, 0).size() - modality.features_per_item;
  return {std::max(held.begin, drop) - drop, std::max(held.end, drop) - drop};
}

}  // namespace cornstarch::plan
