#pragma once

#include <cstdint>
#include <vector>

#include "cornstarch/plan/item_layout.h"

namespace cornstarch::plan {

/// How one encoder's features of one microbatch get from the context-parallel ranks that compute them to
/// those of the LLM whose tokens they stand for. Every row crosses once; both ends know the counts, and hold
/// what they exchange with a peer in one stretch and in the same order.
struct FeatureRoute {
  /// [encoder rank][LLM rank]: rows between the two.
  std::vector<std::vector<std::int64_t>> counts;
  /// [encoder rank]: its rows, numbered as it computes them, those for LLM rank 0 first.
  std::vector<std::vector<std::int64_t>> leaving;
  /// [LLM rank]: the rows that arrive, numbered over the whole microbatch, those from encoder rank 0 first.
  std::vector<std::vector<std::int64_t>> arriving;

  std::int64_t leaving_rows(int encoder_rank) const;
  std::int64_t arriving_rows(int llm_rank) const;
};

/// `takers`: for every row of the microbatch (item by item) the LLM's rank that takes it, of `llm_ranks`.
FeatureRoute route_features(const ItemLayout& items, const std::vector<int>& takers, int llm_ranks);

}  // namespace cornstarch::plan
