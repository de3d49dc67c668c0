#include "cornstarch/plan/item_layout.h"

#include <algorithm>

#include "cornstarch/catalog/module_kind.h"

namespace cornstarch::plan {
namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

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

/// Where in the grid it lies: squares of patches follow each other by rows of squares, and so do those
/// within.
catalog::Extents ItemLayout::place(std::size_t item, std::int64_t token) const {
  const catalog::Extents& grid = items_[item];
  const std::int64_t edge = encoder_->spec.patch_block, across = grid.w / edge;
  const std::int64_t square = token % (grid.h * grid.w) / (edge * edge), within = token % (edge * edge);
  return {token / (grid.h * grid.w), square / across * edge + within / edge,
          square % across * edge + within % edge};
}

/// Which see each other: those of one time of an item, with a window those in the same square of so many
/// places a side.
AttentionPattern ItemLayout::pattern(std::int64_t window) const {
  std::vector<std::int64_t> lengths;
  for (std::size_t i = 0; i < items_.size(); ++i)
    lengths.insert(lengths.end(), at(items_[i].t), tokens(i) / items_[i].t);
  AttentionPattern pattern = item_pattern(lengths);
  if (window == 0) return pattern;
  auto kind = pattern.kind.begin();
  for (std::size_t i = 0; i < items_.size(); ++i)
    for (std::int64_t t = 0; t < tokens(i); ++t) {
      const catalog::Extents in = place(i, t);
      *kind++ = static_cast<int>(in.h / window * ((items_[i].w - 1) / window + 1) + in.w / window);
    }
  pattern.only = pattern.kind;
  return pattern;
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

PartPositions ItemLayout::grid_positions() const {
  PartPositions out;
  for (std::size_t i = 0; i < items_.size(); ++i)
    for (std::int64_t t = 0; t < tokens(i); ++t) {
      const catalog::Extents in = place(i, t);
      out[0].push_back(in.t);
      out[1].push_back(in.h);
      out[2].push_back(in.w);
    }
  return out;
}

TokenLayout ItemLayout::token_layout() const {
  std::vector<Range> rows;
  std::int64_t longest = 0, side = 0, times = 0;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    const std::int64_t first = rows.empty() ? 0 : rows.back().end;
    rows.push_back({first, first + tokens(i)});
    longest = std::max(longest, rows.back().size());
    side = std::max({side, items_[i].h, items_[i].w});
    times = std::max(times, items_[i].t);
  }
  if (one_size_ && sp_ == 1) return TokenLayout::plain(std::ssize(items_), longest);
  TokenLayout::Patterns patterns{{0, pattern(0)}};
  if (one_size_) return {std::move(rows), longest, std::move(patterns), shares()};
  for (const std::int64_t window : catalog::windows_of(encoder(), side)) patterns[window] = pattern(window);
  if (!catalog::notices_grids(encoder())) return {std::move(rows), longest, std::move(patterns), shares()};
  return {std::move(rows), std::max(side, times), std::move(patterns), shares(), grid_positions()};
}

}  // namespace cornstarch::plan
