#include "cornstarch/plan/rope_positions.h"

#include <algorithm>

#include "cornstarch/catalog/token_ids.h"

namespace cornstarch::plan {

PartPositions rope_positions(std::span<const std::int64_t> ids,
                             const std::vector<std::vector<catalog::Extents>>& grids) {
  PartPositions out;
  std::vector<std::size_t> taken(grids.size(), 0);
  std::int64_t next = 0;
  const auto add = [&](std::int64_t t, std::int64_t h, std::int64_t w) {
    out[0].push_back(next + t);
    out[1].push_back(next + h);
    out[2].push_back(next + w);
  };
  while (out[0].size() < ids.size()) {
    const std::int64_t id = ids[out[0].size()];
    const auto e = static_cast<std::size_t>(catalog::encoder_of(id));
    if (!catalog::is_placeholder(id) || grids.at(e).empty()) {
      add(0, 0, 0);
      ++next;
      continue;
    }
    const catalog::Extents& grid = grids[e].at(taken[e]++);
    for (std::int64_t t = 0; t < grid.t; ++t)
      for (std::int64_t h = 0; h < grid.h; ++h)
        for (std::int64_t w = 0; w < grid.w; ++w) add(t, h, w);
    next += std::max(grid.h, grid.w);
  }
  return out;
}

}  // namespace cornstarch::plan
