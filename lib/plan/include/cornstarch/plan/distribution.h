#pragma once

#include <cstdint>
#include <vector>

#include "cornstarch/plan/attention_pattern.h"

namespace cornstarch::plan {

/// For each context-parallel rank the tokens that it holds, ascending. Padding belongs to none.
using TokenShares = std::vector<std::vector<std::int64_t>>;

/// Deals the tokens of a microbatch to `ranks`.
///   uniform   contiguous shares whose sizes differ by at most one
///   zigzag    2 x ranks such chunks; rank r takes chunks r and 2 x ranks - 1 - r
///   makespan  blocks of 128 tokens, that with most visible keys first, each to the rank with the least work
///             so far that still has room: no rank holds more than its even share plus one block
TokenShares distribute(const AttentionPattern& pattern, int ranks, config::Distribution how);

/// Visible (query, key) pairs: pairs[r][c] for queries of rank r and keys of rank c.
std::vector<std::vector<std::int64_t>> attention_pairs(const AttentionPattern& pattern,
                                                       const TokenShares& shares);

/// How evenly the attention work lies, 1 being ideal.
struct Balance {
  double heaviest = 1;  ///< the heaviest rank's work / the mean
  double ring = 1;      ///< the same summed over the steps of a ring, which ends each with its slowest rank
};
Balance balance(const AttentionPattern& pattern, const TokenShares& shares);

}  // namespace cornstarch::plan
