#include "cornstarch/plan/distribution.h"

#include <algorithm>
#include <numeric>

namespace cornstarch::plan {
namespace {

constexpr std::int64_t kBlock = 128;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

std::vector<std::int64_t> real_tokens(const AttentionPattern& pattern) {
  std::vector<std::int64_t> tokens;
  tokens.reserve(pattern.kind.size());
  for (std::int64_t i = 0; i < pattern.size(); ++i)
    if (pattern.kind[at(i)] != kPadding) tokens.push_back(i);
  return tokens;
}

void append(std::vector<std::int64_t>& to, const std::vector<std::int64_t>& from, Range range) {
  to.insert(to.end(), from.begin() + range.begin, from.begin() + range.end);
}

/// LPT scheduling of blocks. Graham, "Bounds on multiprocessing timing anomalies", 1969: at most 4/3 of the
/// best makespan, far less with many blocks.
std::vector<int> owners(const std::vector<std::int64_t>& work, const std::vector<std::int64_t>& sizes,
                        int ranks, std::int64_t room) {
  std::vector<std::size_t> order(work.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return work[a] > work[b]; });
  std::vector<std::int64_t> load(at(ranks), 0), held(at(ranks), 0);
  std::vector<int> owner(work.size());
  for (const std::size_t block : order) {
    int best = -1;
    for (int r = 0; r < ranks; ++r) {
      if (held[at(r)] + sizes[block] > room) continue;
      if (best < 0 || load[at(r)] < load[at(best)]) best = r;
    }
    owner[block] = best;
    load[at(best)] += work[block];
    held[at(best)] += sizes[block];
  }
  return owner;
}

TokenShares makespan(const AttentionPattern& pattern, const std::vector<std::int64_t>& tokens, int ranks) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  const std::vector<std::int64_t> seen = visible_keys(pattern);
  std::vector<std::int64_t> work, sizes;
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t end = std::min(count, begin + kBlock);
    std::int64_t sum = 0;
    for (std::int64_t i = begin; i < end; ++i) sum += seen[at(tokens[at(i)])];
    work.push_back(sum);
    sizes.push_back(end - begin);
  }
  const std::int64_t even = (count + ranks - 1) / ranks;
  const std::vector<int> owner = owners(work, sizes, ranks, even + kBlock);
  TokenShares shares(at(ranks));
  for (std::size_t b = 0; b < owner.size(); ++b) {
    const std::int64_t begin = static_cast<std::int64_t>(b) * kBlock;
    append(shares[at(owner[b])], tokens, {begin, begin + sizes[b]});
  }
  return shares;
}

}  // namespace

TokenShares distribute(const AttentionPattern& pattern, int ranks, config::Distribution how) {
  const std::vector<std::int64_t> tokens = real_tokens(pattern);
  if (how == config::Distribution::makespan) return makespan(pattern, tokens, ranks);
  const auto count = static_cast<std::int64_t>(tokens.size());
  TokenShares shares(at(ranks));
  for (int r = 0; r < ranks; ++r) {
    if (how == config::Distribution::uniform) {
      append(shares[at(r)], tokens, share(count, ranks, r));
    } else {
      append(shares[at(r)], tokens, share(count, 2 * ranks, r));
      append(shares[at(r)], tokens, share(count, 2 * ranks, 2 * ranks - 1 - r));
    }
  }
  return shares;
}

std::vector<std::vector<std::int64_t>> attention_pairs(const AttentionPattern& pattern,
                                                       const TokenShares& shares) {
  std::vector<std::vector<std::int64_t>> pairs;
  for (const auto& queries : shares) {
    auto& row = pairs.emplace_back();
    for (const auto& keys : shares) {
      std::int64_t sum = 0;
      for (const AttentionPart& part : attention_parts(pattern, queries, keys)) {
        for (const Stretch& s : part.stretches) {
          const std::int64_t n = s.queries.size();
          sum += n * s.keys.size() - (s.causal ? n * (n - 1) / 2 : 0);
        }
      }
      row.push_back(sum);
    }
  }
  return pairs;
}

Balance balance(const AttentionPattern& pattern, const TokenShares& shares) {
  const auto pairs = attention_pairs(pattern, shares);
  const std::size_t n = pairs.size();
  std::int64_t total = 0, heaviest = 0, ring = 0;
  for (const auto& row : pairs) {
    const std::int64_t sum = std::accumulate(row.begin(), row.end(), std::int64_t{0});
    total += sum;
    heaviest = std::max(heaviest, sum);
  }
  for (std::size_t step = 0; step < n; ++step) {
    std::int64_t slowest = 0;
    for (std::size_t r = 0; r < n; ++r) slowest = std::max(slowest, pairs[r][(r + n - step) % n]);
    ring += slowest;
  }
  if (total == 0) return {};
  const double mean = static_cast<double>(total) / static_cast<double>(n);
  return {static_cast<double>(heaviest) / mean, static_cast<double>(ring) / mean};
}

}  // namespace cornstarch::plan
