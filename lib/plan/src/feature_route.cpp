#include "cornstarch/plan/feature_route.h"

#include <numeric>

namespace cornstarch::plan {

std::int64_t FeatureRoute::leaving_rows(int encoder_rank) const {
  const auto& row = counts[static_cast<std::size_t>(encoder_rank)];
  return std::accumulate(row.begin(), row.end(), std::int64_t{0});
}

std::int64_t FeatureRoute::arriving_rows(int llm_rank) const {
  std::int64_t rows = 0;
  for (const auto& of_encoder_rank : counts) rows += of_encoder_rank[static_cast<std::size_t>(llm_rank)];
  return rows;
}

FeatureRoute route_features(const ItemLayout& items, const std::vector<int>& takers, int llm_ranks) {
  const auto receivers = static_cast<std::size_t>(llm_ranks);
  FeatureRoute route;
  route.arriving.resize(receivers);
  for (int c = 0; c < items.sp(); ++c) {
    std::vector<std::vector<std::int64_t>> local(receivers);  // this encoder rank's rows for each LLM rank
    std::int64_t first = 0, number = 0;
    for (std::size_t i = 0; i < items.items().size(); first += items.features(i++)) {
      const Range own = items.features(i, c);
      for (std::int64_t row = first + own.begin; row < first + own.end; ++row, ++number) {
        const auto taker = static_cast<std::size_t>(takers[static_cast<std::size_t>(row)]);
        local[taker].push_back(number);
        route.arriving[taker].push_back(row);
      }
    }
    route.counts.emplace_back();
    route.leaving.emplace_back();
    for (const auto& for_rank : local) {
      route.counts.back().push_back(static_cast<std::int64_t>(for_rank.size()));
      route.leaving.back().insert(route.leaving.back().end(), for_rank.begin(), for_rank.end());
    }
  }
  return route;
}

}  // namespace cornstarch::plan
