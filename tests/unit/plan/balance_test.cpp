#include <algorithm>

#include "catch.h"
#include "cornstarch/plan/distribution.h"
#include "cornstarch/plan/mixes.h"

using namespace cornstarch;
using config::AttentionMask;
using config::Distribution;
using config::SpMode;

namespace {

const std::vector<std::int64_t> item_rows = {1024, 375};
constexpr AttentionMask masks[] = {AttentionMask::causal, AttentionMask::image_bidirectional,
                                   AttentionMask::modality_isolated};

}  // namespace

TEST_CASE("makespan deals the attention of every mix evenly") {
  for (const AttentionMask mask : masks) {
    for (const plan::Mix& mix : plan::typical_mixes(16384, item_rows, mask)) {
      for (const int ranks : {4, 8}) {
        CAPTURE(static_cast<int>(mask), mix.name, ranks);
        const auto shares = plan::distribute(mix.pattern, ranks, Distribution::makespan, SpMode::ring_attn);
        CHECK(plan::balance(mix.pattern, shares) <= 1.05);
        const auto ring = plan::distribute(mix.pattern, ranks, Distribution::makespan, SpMode::ring);
        CHECK(plan::balance(mix.pattern, ring) <= 1.05);
        CHECK(plan::ring_balance(mix.pattern, ring) <= 1.15);
      }
    }
  }
}

TEST_CASE("no rank holds more than its even share and a block, and every token is on one") {
  for (const plan::Mix& mix : plan::typical_mixes(5000, item_rows, AttentionMask::modality_isolated)) {
    for (const SpMode mode : {SpMode::ring_attn, SpMode::ring}) {
      const auto shares = plan::distribute(mix.pattern, 3, Distribution::makespan, mode);
      std::vector<int> owners(5000, 0);
      for (const auto& tokens : shares) {
        CHECK(tokens.size() <= 1667 + 128);
        CHECK(std::is_sorted(tokens.begin(), tokens.end()));
        for (const std::int64_t token : tokens) ++owners[static_cast<std::size_t>(token)];
      }
      CHECK(owners == std::vector<int>(5000, 1));
    }
  }
}

TEST_CASE("the mixes are what their names say") {
  const auto mixes = plan::typical_mixes(16384, item_rows, AttentionMask::causal);
  REQUIRE(mixes.size() == 3);
  const auto count = [](const plan::Mix& mix, int kind) {
    return std::count(mix.pattern.kind.begin(), mix.pattern.kind.end(), kind);
  };
  CHECK(count(mixes[0], plan::kText) == 16384);
  CHECK(count(mixes[1], 0) == 8192);
  CHECK(count(mixes[2], 0) >= 1024);
  CHECK(count(mixes[2], 1) >= 375);
  for (const plan::Mix& mix : mixes) CHECK(mix.pattern.size() == 16384);
  // Samples: where a causal token sees nothing in front of itself.
  std::int64_t samples = 0;
  for (std::int64_t i = 0; i < 16384; ++i)
    samples += mixes[2].pattern.begin[static_cast<std::size_t>(i)] == i;
  CHECK(samples >= 4);
  CHECK(plan::typical_mixes(1000, {}, AttentionMask::causal).size() == 2);
}

TEST_CASE("one stretch for each rank is uneven under a causal mask, by a known amount") {
  const auto text = plan::typical_mixes(16384, {}, AttentionMask::causal)[0].pattern;
  const auto shares = plan::distribute(text, 4, Distribution::uniform, SpMode::ring);
  // The last quarter of the tokens sees 7/16 of all pairs.
  CHECK(plan::balance(text, shares) == Approx(4 * 7.0 / 16).epsilon(1e-3));
  CHECK(plan::balance(text, plan::distribute(text, 4, Distribution::zigzag, SpMode::ring)) ==
        Approx(1).epsilon(1e-3));
}
