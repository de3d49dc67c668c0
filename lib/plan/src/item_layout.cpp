#include "cornstarch/plan/item_layout.h"

#include <algorithm>

#include "cornstarch/catalog/module_kind.h"

namespace cornstarch::plan {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

/// The module in front of the first that looks from token to token.
int before_layers(const catalog::ModelSpec& spec) {
  int m = -1;
  for (const catalog::ModuleSpec& module : spec.modules) {
    if (catalog::attention_of(module) != nullptr) break;
    ++m;
  }
  return m;
}

/// What feature_select leaves of an item's last places.
Range without(std::int64_t dropped, Range tokens) {
  return {std::max(tokens.begin, dropped) - dropped, std::max(tokens.end, dropped) - dropped};
}

}  // namespace

std::vector<Range> held_places(const catalog::ModelSpec& encoder, const catalog::Extents& item, int sp,
                               int cp) {
  std::vector<std::int64_t> all = {item.places()};
  for (const catalog::ModuleSpec& module : encoder.modules)
    all.push_back(catalog::places_behind(module, all.back()));
  std::int64_t together = 1;
  for (const catalog::ModuleSpec& module : encoder.modules)
    together = std::max(together, catalog::dealt_together(module));
  const Range last = share(all.back() / together, sp, cp);
  std::vector<Range> held = {{last.begin * together, last.end * together}};
  for (std::size_t m = encoder.modules.size(); m-- > 0;) {
    const Range behind = held.back();
    held.push_back(behind.size() > 0 ? catalog::places_before(encoder.modules[m], behind, all[m]) : Range{});
  }
  std::reverse(held.begin(), held.end());
  return held;
}

ItemLayout::ItemLayout(const catalog::Modality& encoder, int sp, std::vector<catalog::Extents> items)
    : encoder_(&encoder),
      sp_(sp),
      one_size_(catalog::fixed_extents(encoder.spec).has_value()),
      layers_(before_layers(encoder.spec)),
      items_(std::move(items)) {
  for (const catalog::Extents& item : items_) {
    auto [entry, is_new] = held_.try_emplace(item);
    if (!is_new) continue;
    for (int cp = 0; cp < sp; ++cp) entry->second.push_back(held_places(encoder.spec, item, sp, cp));
    entry->second.push_back(held_places(encoder.spec, item, 1, 0));
  }
}

Range ItemLayout::places(std::size_t item, int module, int cp) const {
  return held(item)[at(cp)][at(module + 1)];
}

Range ItemLayout::features(std::size_t item, int cp) const {
  // Where features are averaged, those that are dropped are gone already.
  const Range whole = held(item)[at(sp_)].back();
  return without(whole.size() - features(item), held(item)[at(cp)].back());
}

std::int64_t ItemLayout::features(std::size_t item) const {
  return catalog::features_of(*encoder_, items_[item]);
}

std::int64_t ItemLayout::features() const {
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < items_.size(); ++i) rows += features(i);
  return rows;
}

catalog::Shape ItemLayout::shape(int module, int cp) const {
  const catalog::ModelSpec& spec = encoder_->spec;
  const auto rows = [&](int m) {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < items_.size(); ++i) sum += places(i, m, cp).size();
    return one_size_ ? sum / std::max<std::int64_t>(1, std::ssize(items_)) : sum;
  };
  catalog::Shape shape = spec.item_shape;
  if (!one_size_) shape.insert(shape.begin(), rows(-1));
  for (int m = 0; m <= module; ++m)
    shape = catalog::shape_behind(spec.modules[at(m)], std::move(shape), rows(m));
  shape.insert(shape.begin(), one_size_ ? std::ssize(items_) : 1);
  return shape;
}

AttentionPattern ItemLayout::pattern() const {
  std::vector<std::int64_t> lengths;
  for (std::size_t i = 0; i < items_.size(); ++i) lengths.push_back(tokens(i));
  return item_pattern(lengths);
}

TokenShares ItemLayout::shares() const {
  TokenShares out(at(sp_));
  std::int64_t first = 0;
  for (std::size_t i = 0; i < items_.size(); first += tokens(i++))
    for (int cp = 0; cp < sp_; ++cp) {
      const Range own = tokens(i, cp);
      for (auto t = own.begin; t < own.end; ++t) out[at(cp)].push_back(first + t);
    }
  return out;
}

std::vector<std::int64_t> ItemLayout::positions(int cp) const {
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    const Range own = tokens(i, cp);
    for (auto t = own.begin; t < own.end; ++t) out.push_back(t);
  }
  return out;
}

}  // namespace cornstarch::plan
