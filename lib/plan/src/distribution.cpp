#include "cornstarch/plan/distribution.h"

#include <algorithm>
#include <numeric>
#include <optional>

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

/// The indices of `values` with the largest first.
std::vector<std::size_t> descending(const std::vector<std::int64_t>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return values[a] > values[b]; });
  return order;
}

/// LPT scheduling of blocks; -1 where no rank has room. Graham, "Bounds on multiprocessing timing anomalies",
/// 1969: at most 4/3 of the best makespan, far less with many blocks.
std::vector<int> heaviest_first(const std::vector<std::int64_t>& work, const std::vector<std::int64_t>& sizes,
                                int ranks, std::int64_t room) {
  std::vector<std::int64_t> load(at(ranks), 0), held(at(ranks), 0);
  std::vector<int> owner(work.size());
  for (const std::size_t block : descending(work)) {
    int best = -1;
    for (int r = 0; r < ranks; ++r) {
      if (held[at(r)] + sizes[block] > room) continue;
      if (best < 0 || load[at(r)] < load[at(best)]) best = r;
    }
    owner[block] = best;
    if (best < 0) continue;
    load[at(best)] += work[block];
    held[at(best)] += sizes[block];
  }
  return owner;
}

/// The same within each window of as many consecutive blocks as there are ranks, one for each: neighbours,
/// which see each other, are spread over all pairs of ranks.
std::vector<int> window_by_window(const std::vector<std::int64_t>& work, int ranks) {
  std::vector<std::int64_t> load(at(ranks), 0);
  std::vector<int> owner(work.size());
  for (std::size_t first = 0; first < work.size(); first += at(ranks)) {
    const std::size_t end = std::min(work.size(), first + at(ranks));
    const auto blocks = descending(
        {work.begin() + static_cast<std::ptrdiff_t>(first), work.begin() + static_cast<std::ptrdiff_t>(end)});
    const auto most_loaded = descending(load);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const std::size_t rank = most_loaded[most_loaded.size() - 1 - i];
      owner[first + blocks[i]] = static_cast<int>(rank);
      load[rank] += work[first + blocks[i]];
    }
  }
  return owner;
}

/// Runs of consecutive tokens that are dealt as one.
struct Blocks {
  std::vector<std::int64_t> work, sizes;
};

Blocks blocks_of(const AttentionPattern& pattern, const std::vector<std::int64_t>& tokens) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  const std::vector<std::int64_t> seen = visible_keys(pattern);
  Blocks blocks;
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t end = std::min(count, begin + kBlock);
    std::int64_t sum = 0;
    for (std::int64_t i = begin; i < end; ++i) sum += seen[at(tokens[at(i)])];
    blocks.work.push_back(sum);
    blocks.sizes.push_back(end - begin);
  }
  return blocks;
}

/// Neighbours put together, so that `pieces` are left.
Blocks joined(const Blocks& blocks, std::int64_t pieces) {
  Blocks out;
  for (std::int64_t p = 0; p < pieces; ++p) {
    const Range mine = share(static_cast<std::int64_t>(blocks.sizes.size()), pieces, p);
    out.work.push_back(
        std::accumulate(blocks.work.begin() + mine.begin, blocks.work.begin() + mine.end, std::int64_t{0}));
    out.sizes.push_back(
        std::accumulate(blocks.sizes.begin() + mine.begin, blocks.sizes.begin() + mine.end, std::int64_t{0}));
  }
  return out;
}

/// Nothing where a rank would hold more than its even share plus kBlock.
std::optional<TokenShares> deal(const Blocks& blocks, const std::vector<std::int64_t>& tokens, int ranks,
                                config::SpMode mode) {
  const std::int64_t room = (static_cast<std::int64_t>(tokens.size()) + ranks - 1) / ranks + kBlock;
  const std::vector<int> owner = mode == config::SpMode::ring
                                     ? window_by_window(blocks.work, ranks)
                                     : heaviest_first(blocks.work, blocks.sizes, ranks, room);
  TokenShares shares(at(ranks));
  std::int64_t begin = 0;
  for (std::size_t b = 0; b < owner.size(); begin += blocks.sizes[b++]) {
    if (owner[b] < 0) return std::nullopt;
    append(shares[at(owner[b])], tokens, {begin, begin + blocks.sizes[b]});
  }
  for (const auto& held : shares)
    if (static_cast<std::int64_t>(held.size()) > room) return std::nullopt;
  return shares;
}

/// The largest blocks that even out the work about as well as those of kBlock tokens: kernels are fast on
/// large ones.
TokenShares makespan(const AttentionPattern& pattern, const std::vector<std::int64_t>& tokens, int ranks,
                     config::SpMode mode) {
  constexpr double kAsGood = 1 + 1.0 / 64;
  const auto slowest = [&](const TokenShares& shares) {
    return mode == config::SpMode::ring ? ring_balance(pattern, shares) : balance(pattern, shares);
  };
  const Blocks blocks = blocks_of(pattern, tokens);
  const TokenShares finest = deal(blocks, tokens, ranks, mode).value();
  const double bound = kAsGood * slowest(finest);
  for (std::int64_t pieces = ranks; pieces < static_cast<std::int64_t>(blocks.sizes.size()); pieces *= 2) {
    const auto shares = deal(joined(blocks, pieces), tokens, ranks, mode);
    if (shares && slowest(*shares) <= bound) return *shares;
  }
  return finest;
}

double over_mean(std::int64_t work, std::int64_t total, std::size_t ranks) {
  return total == 0 ? 1.0
                    : static_cast<double>(work) * static_cast<double>(ranks) / static_cast<double>(total);
}

}  // namespace

TokenShares distribute(const AttentionPattern& pattern, int ranks, config::Distribution how,
                       config::SpMode mode) {
  const std::vector<std::int64_t> tokens = real_tokens(pattern);
  if (how == config::Distribution::makespan) return makespan(pattern, tokens, ranks, mode);
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

double balance(const AttentionPattern& pattern, const TokenShares& shares) {
  const std::vector<std::int64_t> seen = visible_keys(pattern);
  std::int64_t total = 0, heaviest = 0;
  for (const auto& tokens : shares) {
    std::int64_t work = 0;
    for (const std::int64_t token : tokens) work += seen[at(token)];
    total += work;
    heaviest = std::max(heaviest, work);
  }
  return over_mean(heaviest, total, shares.size());
}

double ring_balance(const AttentionPattern& pattern, const TokenShares& shares) {
  const auto pairs = attention_pairs(pattern, shares);
  const std::size_t n = pairs.size();
  std::int64_t total = 0, slowest = 0;
  for (std::size_t step = 0; step < n; ++step) {
    std::int64_t slowest_here = 0;
    for (std::size_t r = 0; r < n; ++r) {
      total += pairs[r][(r + n - step) % n];
      slowest_here = std::max(slowest_here, pairs[r][(r + n - step) % n]);
    }
    slowest += slowest_here;
  }
  return over_mean(slowest, total, n);
}

}  // namespace cornstarch::plan
