#include "cornstarch/plan/item_parts.h"

#include <algorithm>

namespace cornstarch::plan {
namespace {

struct PlacesBehind {
  std::int64_t before;
  std::int64_t operator()(const catalog::PatchEmbedding& p) const { return p.leading() + p.patches(); }
  std::int64_t operator()(const catalog::Conv1d& c) const { return (before - 1) / c.stride + 1; }
  template <typename Body>
  std::int64_t operator()(const Body&) const {
    return before;
  }
};

/// The places that a module takes to give `behind`, of `before` that there are.
struct PlacesBefore {
  Range behind;
  std::int64_t before;
  Range operator()(const catalog::PatchEmbedding&) const { return {0, before}; }
  Range operator()(const catalog::Conv1d& c) const {
    return {std::max<std::int64_t>(0, behind.begin * c.stride - 1),
            std::min(before, (behind.end - 1) * c.stride + 2)};
  }
  template <typename Body>
  Range operator()(const Body&) const {
    return behind;
  }
};

}  // namespace

Range item_places(const catalog::ModelSpec& spec, int module, int sp, int cp) {
  std::vector<std::int64_t> places = {spec.item_shape.back()};  // before each module, and behind the last
  for (const catalog::ModuleSpec& m : spec.modules)
    places.push_back(std::visit(PlacesBehind{places.back()}, m.body));
  Range held = share(places.back(), sp, cp);
  for (auto m = static_cast<int>(spec.modules.size()); --m > module;) {
    const auto at = static_cast<std::size_t>(m);
    held = std::visit(PlacesBefore{held, places[at]}, spec.modules[at].body);
  }
  return held;
}

Range item_features(const catalog::Modality& modality, int sp, int cp) {
  const std::int64_t drop = modality.drop_tokens;
  const Range tokens = share(modality.features_per_item + drop, sp, cp);
  return {std::max(tokens.begin, drop) - drop, std::max(tokens.end, drop) - drop};
}

}  // namespace cornstarch::plan
