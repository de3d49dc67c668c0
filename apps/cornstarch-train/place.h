#pragma once

#include <optional>

#include "cornstarch/base/result.h"

namespace cornstarch::app {

/// Which process of how many this is, and how many ranks share a node.
struct Place {
  int rank = 0;
  int world_size = 1;
  int per_node = 1;
  int rank_on_node = 0;
};

/// By the launcher, or of --local-ranks, which must be all there is.
Result<Place> find_place(const std::optional<int>& local_ranks);

}  // namespace cornstarch::app
