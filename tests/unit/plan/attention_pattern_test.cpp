#include "cornstarch/plan/attention_pattern.h"

#include <random>

#include "catch.h"

using namespace cornstarch;
using namespace cornstarch::plan;
using config::AttentionMask;

namespace {

using List = std::vector<std::int64_t>;

// Row 0: a sample of text, two neighbouring pictures of two tokens, text. Row 1: two packed samples, the
// second with a sound (encoder 1) of one token, and padding.
const List kRow0{5, -1, -1, -1, -1, 6};
const List kRow1{7, 8, -2, 9};

AttentionPattern pattern(AttentionMask mask) {
  return attention_pattern({{kRow0, {}}, {kRow1, {2}}}, 6, {2, 1}, mask);
}

using Pairs = std::vector<List>;  // of each query, the places of the keys that it sees

Pairs by_definition(const AttentionPattern& p, const List& queries, const List& keys) {
  Pairs pairs;
  for (const std::int64_t query : queries) {
    auto& seen = pairs.emplace_back();
    const auto i = static_cast<std::size_t>(query);
    for (std::size_t k = 0; k < keys.size(); ++k)
      if (keys[k] >= p.begin[i] && keys[k] < p.end[i] &&
          (p.only[i] < 0 || p.kind[static_cast<std::size_t>(keys[k])] == p.only[i]))
        seen.push_back(static_cast<std::int64_t>(k));
  }
  return pairs;
}

Pairs by_parts(const AttentionPattern& p, const List& queries, const List& keys) {
  const auto place = [](const std::optional<List>& places, std::int64_t i) {
    return places ? places->at(static_cast<std::size_t>(i)) : i;
  };
  Pairs pairs(queries.size());
  for (const AttentionPart& part : attention_parts(p, queries, keys)) {
    for (const Stretch& s : part.stretches) {
      for (std::int64_t q = s.queries.begin; q < s.queries.end; ++q) {
        List& seen = pairs.at(static_cast<std::size_t>(place(part.queries, q)));
        CHECK(seen.empty());  // in one stretch only
        const std::int64_t end = s.keys.end - (s.causal ? s.queries.end - 1 - q : 0);
        const std::int64_t begin = s.keys.begin + (s.sliding ? q - s.queries.begin : 0);
        for (std::int64_t k = begin; k < end; ++k) seen.push_back(place(part.keys, k));
      }
    }
  }
  return pairs;
}

class Random {
 public:
  explicit Random(std::uint32_t seed) : generator_(seed) {}
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(generator_() % static_cast<std::uint64_t>(n));
  }
  List subset(std::int64_t n, std::int64_t in_ten) {
    List out;
    for (std::int64_t i = 0; i < n; ++i)
      if (below(10) < in_ten) out.push_back(i);
    return out;
  }

 private:
  std::mt19937 generator_;
};

}  // namespace

TEST_CASE("causal: a token sees itself and what precedes it in its sample") {
  const AttentionPattern p = pattern(AttentionMask::causal);
  CHECK(p.begin == List{0, 0, 0, 0, 0, 0, 6, 6, 8, 8, 0, 0});
  CHECK(p.end == List{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0});
  CHECK(p.only == std::vector<int>(12, -1));
  CHECK(p.kind == std::vector<int>{-1, 0, 0, 0, 0, -1, -1, -1, 1, -1, -2, -2});
  CHECK(visible_keys(p) == List{1, 2, 3, 4, 5, 6, 1, 2, 1, 2, 0, 0});
}

TEST_CASE("image_bidirectional: an item's tokens see all of it, and a neighbouring item is another") {
  const AttentionPattern p = pattern(AttentionMask::image_bidirectional);
  CHECK(p.begin == List{0, 0, 0, 0, 0, 0, 6, 6, 8, 8, 0, 0});
  CHECK(p.end == List{1, 3, 3, 5, 5, 6, 7, 8, 9, 10, 0, 0});
  CHECK(p.only == std::vector<int>(12, -1));
}

TEST_CASE("modality_isolated: an encoder's tokens see those of their own encoder in their sample") {
  const AttentionPattern p = pattern(AttentionMask::modality_isolated);
  CHECK(p.begin == List{0, 0, 0, 0, 0, 0, 6, 6, 8, 8, 0, 0});
  CHECK(p.end == List{1, 6, 6, 6, 6, 6, 7, 8, 10, 10, 0, 0});
  CHECK(p.only == std::vector<int>{-1, 0, 0, 0, 0, -1, -1, -1, 1, -1, -1, -1});
  CHECK(visible_keys(p) == List{1, 4, 4, 4, 4, 6, 1, 2, 1, 2, 0, 0});
}

TEST_CASE("a window: a token sees no further back") {
  const AttentionPattern p = windowed(pattern(AttentionMask::causal), 2);
  CHECK(p.begin == List{0, 0, 1, 2, 3, 4, 6, 6, 8, 8, 0, 0});
  CHECK(p.end == pattern(AttentionMask::causal).end);
  CHECK(visible_keys(p) == List{1, 2, 2, 2, 2, 2, 1, 2, 1, 2, 0, 0});
  CHECK(visible_keys(windowed(pattern(AttentionMask::modality_isolated), 1)) ==
        List{1, 4, 3, 2, 1, 1, 1, 1, 1, 1, 0, 0});
  // A picture sees all of itself, and no more.
  const AttentionPattern items = windowed(pattern(AttentionMask::image_bidirectional), 1);
  CHECK(items.begin == List{0, 1, 1, 3, 3, 5, 6, 7, 8, 9, 0, 0});
  CHECK(items.end == pattern(AttentionMask::image_bidirectional).end);
}

TEST_CASE("an encoder's tokens see all of their item and no other") {
  const AttentionPattern p = item_pattern({3, 3});
  CHECK(p.begin == List{0, 0, 0, 3, 3, 3});
  CHECK(p.end == List{3, 3, 3, 6, 6, 6});
  CHECK(p.only == std::vector<int>(6, -1));
  CHECK(p.kind == std::vector<int>(6, kText));
  CHECK(item_pattern({}).size() == 0);
}

TEST_CASE("a pattern falls into as few stretches as there are samples and items") {
  const List all{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  SECTION("causal: one per sample") {
    const auto parts = attention_parts(pattern(AttentionMask::causal), all, all);
    REQUIRE(parts.size() == 1);
    CHECK_FALSE(parts[0].queries);
    CHECK_FALSE(parts[0].keys);
    CHECK(parts[0].stretches ==
          std::vector<Stretch>{{{0, 6}, {0, 6}, true}, {{6, 8}, {6, 8}, true}, {{8, 10}, {8, 10}, true}});
  }
  SECTION("a window: as many queries as it has tokens") {
    const List text(10, 5);
    const auto parts = attention_parts(
        windowed(attention_pattern({{text, {}}}, 12, {}, AttentionMask::causal), 4), all, all);
    REQUIRE(parts.size() == 1);
    CHECK(parts[0].stretches == std::vector<Stretch>{{{0, 4}, {0, 4}, true, false},
                                                     {{4, 8}, {1, 8}, true, true},
                                                     {{8, 10}, {5, 10}, true, true}});
  }
  SECTION("a picture is a rectangle") {
    const auto parts = attention_parts(pattern(AttentionMask::image_bidirectional), all, all);
    REQUIRE(parts.size() == 1);
    CHECK(parts[0].stretches == std::vector<Stretch>{{{0, 1}, {0, 1}, false},
                                                     {{1, 3}, {0, 3}, false},
                                                     {{3, 5}, {0, 5}, false},
                                                     {{5, 6}, {0, 6}, false},
                                                     {{6, 8}, {6, 8}, true},
                                                     {{8, 10}, {8, 10}, true}});
  }
  SECTION("isolated tokens are a part of their own") {
    const auto parts =
        attention_parts(pattern(AttentionMask::modality_isolated), {0, 2, 4, 5, 11}, {0, 1, 4, 7, 8});
    REQUIRE(parts.size() == 2);
    CHECK(parts[0].stretches == std::vector<Stretch>{{{0, 1}, {0, 1}, false}, {{3, 4}, {0, 3}, false}});
    CHECK(parts[1].queries == List{1, 2});
    CHECK(parts[1].keys == List{1, 2});
    CHECK(parts[1].stretches == std::vector<Stretch>{{{0, 2}, {0, 2}, false}});
  }
  SECTION("nothing to see") {
    CHECK(attention_parts(pattern(AttentionMask::causal), {0, 1, 10}, {2, 9, 11}).empty());
    CHECK(attention_parts(pattern(AttentionMask::causal), {}, all).empty());
    CHECK(attention_parts(pattern(AttentionMask::modality_isolated), all, {}).empty());
  }
}

TEST_CASE("the parts of any tokens over any tokens show each pair of the definition once") {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    const List item_rows{1 + random.below(6), 1 + random.below(4)};
    const std::int64_t row_length = 1 + random.below(40);
    std::vector<List> ids(static_cast<std::size_t>(1 + random.below(3)));
    std::vector<PatternRow> rows;
    for (List& row : ids) {
      List starts;
      const std::int64_t length = random.below(row_length + 1);
      while (static_cast<std::int64_t>(row.size()) < length) {
        const std::int64_t id = random.below(3) - 2;
        const std::int64_t size = id < 0 ? item_rows[static_cast<std::size_t>(-1 - id)] : 1 + random.below(6);
        if (static_cast<std::int64_t>(row.size()) + size > row_length) break;
        if (!row.empty() && random.below(4) == 0) starts.push_back(static_cast<std::int64_t>(row.size()));
        row.insert(row.end(), static_cast<std::size_t>(size), id);
      }
      rows.push_back({row, starts});
    }
    for (const AttentionMask mask :
         {AttentionMask::causal, AttentionMask::image_bidirectional, AttentionMask::modality_isolated}) {
      CAPTURE(seed, static_cast<int>(mask));
      AttentionPattern p = attention_pattern(rows, row_length, item_rows, mask);
      if (random.below(2) == 0) p = windowed(std::move(p), 1 + random.below(row_length));
      const List all = random.subset(p.size(), 10);
      const Pairs dense = by_definition(p, all, all);
      CHECK(by_parts(p, all, all) == dense);
      List seen;
      for (const List& keys : dense) seen.push_back(static_cast<std::int64_t>(keys.size()));
      CHECK(visible_keys(p) == seen);
      const List queries = random.subset(p.size(), 5), keys = random.subset(p.size(), 5);
      CHECK(by_parts(p, queries, keys) == by_definition(p, queries, keys));
    }
  }
}
