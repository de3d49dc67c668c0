#pragma once

#include <cstdint>
#include <vector>

#include "cornstarch/base/checked.h"

namespace cornstarch::plan {

/// Consecutive elements of one rank's shard of a global tensor. The shard is what lies within `part` along
/// `dim`, or, where `dim` is -1, the whole tensor; `elements` are counted in the shard, flattened.
struct ShardRange {
  std::vector<std::int64_t> shape;  ///< of the global tensor
  int dim = -1;
  Range part = {};
  Range elements = {};
  bool operator==(const ShardRange&) const = default;
};

/// All elements of a tensor that nobody splits.
ShardRange whole(std::vector<std::int64_t> shape);

/// The shape of the shard; `shape` itself where nothing is split.
std::vector<std::int64_t> shard_shape(const ShardRange& range);

/// What a holder of one range gives to a holder of another: offsets count from the first element of each.
struct Copy {
  std::int64_t from = 0;
  std::int64_t to = 0;
  std::int64_t count = 0;
  bool operator==(const Copy&) const = default;
};

/// The elements of the global tensor that both ranges hold, as runs that are consecutive on either side, in
/// the order of `to`. Both are ranges of one tensor, whose splits may differ.
std::vector<Copy> copies(const ShardRange& from, const ShardRange& to);

}  // namespace cornstarch::plan
