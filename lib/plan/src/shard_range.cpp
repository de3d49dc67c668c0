#include "cornstarch/plan/shard_range.h"

#include <algorithm>
#include <utility>

namespace cornstarch::plan {
namespace {

/// A shard as equal stretches of the flattened global tensor: of every `row` elements those in `part`.
struct Stretches {
  std::int64_t row = 0;
  Range part;

  explicit Stretches(const ShardRange& range) {
    std::int64_t inner = 1;
    for (std::size_t d = range.dim < 0 ? 0 : static_cast<std::size_t>(range.dim) + 1; d < range.shape.size();
         ++d)
      inner *= range.shape[d];
    row = range.dim < 0 ? inner : inner * range.shape[static_cast<std::size_t>(range.dim)];
    part = range.dim < 0 ? Range{0, row} : Range{range.part.begin * inner, range.part.end * inner};
  }

  /// Where element `local` of the shard lies, and how many that follow it do so there, too.
  Range in_global(std::int64_t local) const {
    const std::int64_t begin = local / part.size() * row + part.begin + local % part.size();
    return {begin, local / part.size() * row + part.end};
  }
};

void append(std::vector<Copy>& out, const Copy& next) {
  if (!out.empty() && out.back().from + out.back().count == next.from &&
      out.back().to + out.back().count == next.to) {
    out.back().count += next.count;
  } else {
    out.push_back(next);
  }
}

/// What `from` has of global elements, of which the first is `to` of the receiver.
void take(const ShardRange& from, const Stretches& stretches, Range global, std::int64_t to,
          std::vector<Copy>& out) {
  for (std::int64_t r = global.begin / stretches.row; r * stretches.row < global.end; ++r) {
    const std::int64_t first = r * stretches.row + stretches.part.begin;
    const auto local = [&](std::int64_t at) {
      const std::int64_t within = std::clamp<std::int64_t>(at - first, 0, stretches.part.size());
      return std::clamp(r * stretches.part.size() + within, from.elements.begin, from.elements.end);
    };
    const Range own{local(global.begin), local(global.end)};
    if (own.size() <= 0) continue;
    const std::int64_t at = first + own.begin - r * stretches.part.size();
    append(out, {own.begin - from.elements.begin, to + at - global.begin, own.size()});
  }
}

}  // namespace

ShardRange whole(std::vector<std::int64_t> shape) {
  std::int64_t elements = 1;
  for (const std::int64_t d : shape) elements *= d;
  return {std::move(shape), -1, {}, {0, elements}};
}

std::vector<std::int64_t> shard_shape(const ShardRange& range) {
  std::vector<std::int64_t> shape = range.shape;
  if (range.dim >= 0) shape[static_cast<std::size_t>(range.dim)] = range.part.size();
  return shape;
}

std::vector<Copy> copies(const ShardRange& from, const ShardRange& to) {
  std::vector<Copy> out;
  if (from.elements.size() <= 0) return out;
  const Stretches theirs(from), ours(to);
  if (theirs.part.size() <= 0 || ours.part.size() <= 0) return out;
  for (std::int64_t local = to.elements.begin; local < to.elements.end;) {
    Range global = ours.in_global(local);
    global.end = std::min(global.end, global.begin + to.elements.end - local);
    take(from, theirs, global, local - to.elements.begin, out);
    local += global.size();
  }
  return out;
}

}  // namespace cornstarch::plan
