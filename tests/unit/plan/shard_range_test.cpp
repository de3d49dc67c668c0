#include "cornstarch/plan/shard_range.h"

#include <map>
#include <random>

#include "catch.h"

using cornstarch::share;
using namespace cornstarch::plan;

namespace {

/// The global positions of a range's elements, one by one.
std::vector<std::int64_t> positions(const ShardRange& range) {
  std::int64_t total = 1, inner = 1;
  for (const auto d : range.shape) total *= d;
  for (std::size_t d = static_cast<std::size_t>(range.dim) + 1; range.dim >= 0 && d < range.shape.size(); ++d)
    inner *= range.shape[d];
  std::vector<std::int64_t> shard;
  for (std::int64_t i = 0; i < total; ++i) {
    const std::int64_t at = range.dim < 0 ? 0 : i / inner % range.shape[static_cast<std::size_t>(range.dim)];
    if (range.dim < 0 || (at >= range.part.begin && at < range.part.end)) shard.push_back(i);
  }
  return {shard.begin() + range.elements.begin, shard.begin() + range.elements.end};
}

ShardRange random_range(std::mt19937& random, const std::vector<std::int64_t>& shape) {
  const auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
  };
  ShardRange range{shape, static_cast<int>(below(std::ssize(shape) + 1)) - 1};
  if (range.dim >= 0) {
    const std::int64_t parts = 1 + below(4);
    range.part = share(shape[static_cast<std::size_t>(range.dim)], parts, below(parts));
  }
  std::int64_t elements = 1;
  for (const auto d : shard_shape(range)) elements *= d;
  const std::int64_t owners = 1 + below(3);
  range.elements = share(elements, owners, below(owners));
  return range;
}

}  // namespace

TEST_CASE("what two ranges share is copied to where it belongs", "[shard_range]") {
  std::mt19937 random(7);
  int nothing = 0;
  for (int trial = 0; trial < 4000; ++trial) {
    std::vector<std::int64_t> shape(random() % 4);
    for (auto& d : shape) d = 1 + static_cast<std::int64_t>(random() % 7);
    const ShardRange from = random_range(random, shape), to = random_range(random, shape);
    const auto theirs = positions(from), ours = positions(to);
    std::map<std::int64_t, std::int64_t> wanted;  // where ours is, theirs is
    for (std::size_t i = 0; i < ours.size(); ++i)
      for (std::size_t k = 0; k < theirs.size(); ++k)
        if (ours[i] == theirs[k]) wanted[static_cast<std::int64_t>(i)] = static_cast<std::int64_t>(k);
    std::map<std::int64_t, std::int64_t> copied;
    std::int64_t last = -1;
    for (const Copy& copy : copies(from, to)) {
      REQUIRE(copy.count > 0);
      REQUIRE(copy.to > last);  // no two runs that are one
      last = copy.to + copy.count - 1;
      for (std::int64_t i = 0; i < copy.count; ++i) copied[copy.to + i] = copy.from + i;
    }
    REQUIRE(copied == wanted);
    nothing += wanted.empty();
  }
  CHECK(nothing > 100);
  CHECK(nothing < 2000);
}

TEST_CASE("ranges of one split are copied in one run", "[shard_range]") {
  const ShardRange all{{8, 6}, 1, {2, 4}, {0, 16}};
  const ShardRange half{{8, 6}, 1, {2, 4}, {5, 16}};
  CHECK(copies(all, half) == std::vector<Copy>{{5, 0, 11}});
  CHECK(copies(half, all) == std::vector<Copy>{{0, 5, 11}});
  CHECK(copies(whole({8, 6}), half).size() == 6);
  CHECK(copies(whole({3}), {{3}, -1, {}, {1, 1}}).empty());
}
