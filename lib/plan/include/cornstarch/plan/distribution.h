#pragma once

#include <cstdint>
#include <vector>

#include "cornstarch/plan/attention_pattern.h"

namespace cornstarch::plan {

/// For each context-parallel rank the tokens that it holds, ascending. Padding belongs to none.
using TokenShares = std::vector<std::vector<std::int64_t>>;

/// Deals the tokens of a microbatch to `ranks` that attend in `mode`.
///   uniform   contiguous shares whose sizes differ by at most one
///   zigzag    2 x ranks such chunks; rank r takes chunks r and 2 x ranks - 1 - r
///   makespan  blocks of tokens, that with most visible keys first, each to the rank with the least work so
///   far
///             that still has room: no rank holds more than its even share plus 128. A ring's ranks meet at
///             every step, so there each run of as many blocks as ranks is dealt by itself, one block to
///             each. Blocks are as large as they can be without being 1/64 slower than those of 128 tokens
TokenShares distribute(const AttentionPattern& pattern, int ranks, config::Distribution how,
                       config::SpMode mode);

/// Visible (query, key) pairs: pairs[r][c] for queries of rank r and keys of rank c.
std::vector<std::vector<std::int64_t>> attention_pairs(const AttentionPattern& pattern,
                                                       const TokenShares& shares);

/// How evenly the attention's work lies: the heaviest rank's / the mean.
double balance(const AttentionPattern& pattern, const TokenShares& shares);

/// The same for a ring, each of whose steps ends with its slowest rank: the sum of those / the mean rank's
/// work.
double ring_balance(const AttentionPattern& pattern, const TokenShares& shares);

}  // namespace cornstarch::plan
