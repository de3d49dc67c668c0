#include "cornstarch/plan/distribution.h"

#include <algorithm>
#include <numeric>

#include "catch.h"

using namespace cornstarch;
using namespace cornstarch::plan;
using config::AttentionMask;
using config::Distribution;
using config::SpMode;

namespace {

using List = std::vector<std::int64_t>;

constexpr std::int64_t kBlock = 128;

AttentionPattern text(std::int64_t tokens, std::int64_t padded_to) {
  const List ids(static_cast<std::size_t>(tokens), 1);
  return attention_pattern({{ids, {}}}, padded_to, {}, AttentionMask::causal);
}
AttentionPattern text(std::int64_t tokens) { return text(tokens, tokens); }

List blocks(std::initializer_list<std::int64_t> which, std::int64_t tokens) {
  List out;
  for (const std::int64_t b : which)
    for (std::int64_t i = b * kBlock; i < std::min(tokens, (b + 1) * kBlock); ++i) out.push_back(i);
  return out;
}

}  // namespace

TEST_CASE("uniform and zigzag deal contiguous chunks of real tokens") {
  const AttentionPattern p = text(7, 9);
  CHECK(distribute(p, 2, Distribution::uniform, SpMode::ring_attn) == TokenShares{{0, 1, 2}, {3, 4, 5, 6}});
  CHECK(distribute(p, 2, Distribution::zigzag, SpMode::ring_attn) == TokenShares{{0, 5, 6}, {1, 2, 3, 4}});
  const List ids{1, 1, 1};
  const AttentionPattern rows = attention_pattern({{ids, {}}, {ids, {}}}, 5, {}, AttentionMask::causal);
  CHECK(distribute(rows, 2, Distribution::uniform, SpMode::ring) == TokenShares{{0, 1, 2}, {5, 6, 7}});
}

TEST_CASE("makespan deals blocks of 128 tokens, heaviest first to the least loaded rank") {
  const std::int64_t tokens = 5 * kBlock + 1;
  // Block b weighs b + 1/2, the single token of block 5 next to nothing. 4 | 3 | 2 to the second, 1 to the
  // first: both have 6. Then 0 and, to the other, the single token.
  CHECK(distribute(text(tokens), 2, Distribution::makespan, SpMode::ring_attn) ==
        TokenShares{blocks({0, 1, 4}, tokens), blocks({2, 3, 5}, tokens)});
  CHECK(distribute(text(7, 9), 3, Distribution::makespan, SpMode::ring_attn) ==
        TokenShares{{0, 1, 2, 3, 4, 5, 6}, {}, {}});
}

TEST_CASE("makespan deals blocks that are as large as evenness allows") {
  const auto dealt = [](const AttentionPattern& p, int ranks, SpMode mode) {
    return distribute(p, ranks, Distribution::makespan, mode);
  };
  for (const SpMode mode : {SpMode::ring_attn, SpMode::ring})
    for (const int ranks : {2, 4}) {
      const AttentionPattern p = text(16384);
      CHECK(dealt(p, ranks, mode) == distribute(p, ranks, Distribution::zigzag, mode));
    }
  // Alike wherever they stand: one stretch each.
  const AttentionPattern items = item_pattern(std::vector<std::int64_t>(16, kBlock));
  CHECK(dealt(items, 4, SpMode::all_to_all) ==
        distribute(items, 4, Distribution::uniform, SpMode::all_to_all));
  // Of 509 blocks, four times 127 or 128: no rank holds 128 more than an even share.
  const TokenShares uneven = dealt(text(509 * kBlock - 52), 2, SpMode::ring_attn);
  CHECK(uneven[0].size() == 255 * kBlock - 52);
  CHECK(uneven[1].size() == 254 * kBlock);
}

TEST_CASE("makespan for a ring deals each run of as many blocks as ranks by itself") {
  const std::int64_t tokens = 3 * kBlock;
  // 1 | 0, then 2 to the rank that has 0.
  CHECK(distribute(text(tokens), 2, Distribution::makespan, SpMode::ring) ==
        TokenShares{blocks({0, 2}, tokens), blocks({1}, tokens)});
}

TEST_CASE("a full rank is dealt no more, however little work it has") {
  // Three items of one block, then samples of one token each: a thousand of them weigh less than an item.
  const std::int64_t tokens = 9 * kBlock;
  List ids(static_cast<std::size_t>(tokens), 1), starts{kBlock, 2 * kBlock};
  std::fill(ids.begin(), ids.begin() + 3 * kBlock, -1);
  for (std::int64_t i = 3 * kBlock; i < tokens; ++i) starts.push_back(i);
  const AttentionPattern p =
      attention_pattern({{ids, starts}}, tokens, {kBlock}, AttentionMask::image_bidirectional);
  // 0 and 1 to the first, 2 and 3 to the second, and 6, 7 and 8. An even share is 4.5 blocks: there is no
  // room for two more, though the second has less to do.
  CHECK(distribute(p, 2, Distribution::makespan, SpMode::all_to_all) ==
        TokenShares{blocks({0, 1, 4, 5}, tokens), blocks({2, 3, 6, 7, 8}, tokens)});
}

TEST_CASE("every real token is on one rank and none has much more than its share, for any number of tokens") {
  for (const std::int64_t tokens : {0, 1, 5, 127, 129, 1000, 4096, 9973})
    for (const int ranks : {1, 2, 3, 4, 7})
      for (const auto how : {Distribution::uniform, Distribution::zigzag, Distribution::makespan})
        for (const auto mode : {SpMode::ring_attn, SpMode::ring}) {
          CAPTURE(tokens, ranks, static_cast<int>(how), static_cast<int>(mode));
          const TokenShares shares = distribute(text(tokens, tokens + 10), ranks, how, mode);
          REQUIRE(shares.size() == static_cast<std::size_t>(ranks));
          List all;
          for (const List& share : shares) {
            CHECK(std::is_sorted(share.begin(), share.end()));
            CHECK(static_cast<std::int64_t>(share.size()) <= (tokens + ranks - 1) / ranks + kBlock);
            all.insert(all.end(), share.begin(), share.end());
          }
          std::sort(all.begin(), all.end());
          List expected(static_cast<std::size_t>(tokens));
          std::iota(expected.begin(), expected.end(), 0);
          CHECK(all == expected);
        }
}

TEST_CASE("pairs and balance are those of the definition") {
  const AttentionPattern p = text(4);
  const TokenShares crossed{{0, 3}, {1, 2}};
  CHECK(attention_pairs(p, crossed) == std::vector<List>{{3, 2}, {2, 3}});
  CHECK(balance(p, crossed) == 1);
  CHECK(ring_balance(p, crossed) == 1);
  const TokenShares halves{{0, 1}, {2, 3}};
  CHECK(attention_pairs(p, halves) == std::vector<List>{{3, 0}, {4, 3}});
  CHECK(balance(p, halves) == 7 / 5.0);
  CHECK(ring_balance(p, halves) == (3 + 4) / 5.0);
  // The first rank is the slowest of the first step, the second of the second.
  const TokenShares thirds{{0, 1, 2}, {3}, {}};
  CHECK(attention_pairs(p, thirds) == std::vector<List>{{6, 0, 0}, {3, 1, 0}, {0, 0, 0}});
  CHECK(balance(p, thirds) == 6 * 3 / 10.0);
  CHECK(ring_balance(p, thirds) == (6 + 3 + 0) * 3 / 10.0);
}

TEST_CASE("where there is nothing to see the work lies even") {
  const AttentionPattern padding = text(0, 8);
  CHECK(balance(padding, {{}, {}}) == 1);
  CHECK(ring_balance(padding, {{}, {}}) == 1);
}
