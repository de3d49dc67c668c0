#include "cornstarch/plan/item_parts.h"

#include <algorithm>

#include "cornstarch/catalog/module_kind.h"

namespace cornstarch::plan {
Range item_places(const catalog::ModelSpec& spec, int module, int sp, int cp) {
  std::vector<std::int64_t> places = {spec.item_shape.back()};  // before each module, and behind the last
  for (const catalog::ModuleSpec& m : spec.modules)
    places.push_back(catalog::places_behind(m, places.back()));
  Range held = share(places.back(), sp, cp);
  for (auto m = static_cast<int>(spec.modules.size()); --m > module;) {
    const auto at = static_cast<std::size_t>(m);
    held = catalog::places_before(spec.modules[at], held, places[at]);
  }
  return held;
}

Range item_features(const catalog::Modality& modality, int sp, int cp) {
  const std::int64_t drop = modality.drop_tokens;
  const Range tokens = share(modality.features_per_item + drop, sp, cp);
  return {std::max(tokens.begin, drop) - drop, std::max(tokens.end, drop) - drop};
}

}  // namespace cornstarch::plan
