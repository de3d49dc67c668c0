#include "cornstarch/plan/feature_route.h"

#include <algorithm>
#include <numeric>

#include "catch.h"
#include "cornstarch/base/random.h"
#include "cornstarch/plan/plan.h"

using namespace cornstarch;
using Rows = std::vector<std::int64_t>;

namespace {

/// Of items of any size, of which the first `dropped` tokens are no features.
catalog::Modality encoder(std::int64_t dropped) {
  catalog::Modality m;
  m.spec.modules.emplace_back();
  m.spec.modules[0].body = catalog::BlockSpec{};
  m.drop_tokens = dropped;
  return m;
}

/// What crosses: every encoder rank holds rows whose values are their numbers over the microbatch, sends each
/// LLM rank's stretch cut by tp, and every LLM tp rank puts together what it gets.
std::vector<Rows> carry(const plan::FeatureRoute& route, const plan::ItemLayout& items, int encoder_tp,
                        int llm_tp, int receiver_tp) {
  std::vector<Rows> out(route.arriving.size());
  for (std::size_t d = 0; d < out.size(); ++d)
    for (std::size_t c = 0; c < static_cast<std::size_t>(items.sp()); ++c) {
      Rows own;
      std::int64_t begin = 0;
      for (std::size_t i = 0; i < items.items().size(); begin += items.features(i++)) {
        const Range held = items.features(i, static_cast<int>(c));
        for (auto row = held.begin; row < held.end; ++row) own.push_back(begin + row);
      }
      const auto first = std::accumulate(
          route.counts[c].begin(), route.counts[c].begin() + static_cast<std::ptrdiff_t>(d), std::int64_t{0});
      for (const plan::Slice& slice : plan::sources(llm_tp, receiver_tp, encoder_tp)) {
        const Range part = share(route.counts[c][d], slice.parts, slice.index);
        for (auto k = first + part.begin; k < first + part.end; ++k)
          out[d].push_back(
              own.at(static_cast<std::size_t>(route.leaving[c].at(static_cast<std::size_t>(k)))));
      }
    }
  return out;
}

}  // namespace

TEST_CASE("features are grouped by the peer that they are exchanged with") {
  // Two items of five rows, on two encoder ranks; the LLM's rank 1 takes rows 1, 4, 5 and 9.
  const catalog::Modality m = encoder(0);
  const plan::ItemLayout items(m, 2, {{1, 1, 5}, {1, 5, 1}});
  const auto route = plan::route_features(items, {0, 1, 0, 0, 1, 1, 0, 0, 0, 1}, 2);
  CHECK(route.counts == std::vector<Rows>{{2, 2}, {4, 2}});
  CHECK(route.leaving == std::vector<Rows>{{0, 3, 1, 2}, {0, 1, 3, 4, 2, 5}});
  CHECK(route.arriving == std::vector<Rows>{{0, 6, 2, 3, 7, 8}, {1, 5, 4, 9}});
  CHECK(route.leaving_rows(1) == 6);
  CHECK(route.arriving_rows(1) == 4);
}

TEST_CASE("items of different sizes have features of their own number") {
  const catalog::Modality m = encoder(0);
  const plan::ItemLayout items(m, 2, {{1, 1, 3}, {1, 1, 1}, {1, 2, 2}});
  const auto route = plan::route_features(items, {0, 0, 1, 1, 0, 1, 1, 0}, 2);
  CHECK(route.counts == std::vector<Rows>{{2, 1}, {2, 3}});
  CHECK(route.leaving == std::vector<Rows>{{0, 1, 2}, {0, 4, 1, 2, 3}});
  CHECK(route.arriving == std::vector<Rows>{{0, 4, 1, 7}, {5, 2, 3, 6}});
}

TEST_CASE("every feature row arrives once, on the rank that takes it, for any sizes of both sides") {
  const Philox random(3, "routes");
  std::uint64_t draw = 0;
  const auto below = [&](int n) { return static_cast<int>(random.uniform(draw++) * n); };
  for (int trial = 0; trial < 300; ++trial) {
    const catalog::Modality m = encoder(below(2));
    const int encoder_sp = 1 + below(5), llm_sp = 1 + below(4);
    std::vector<catalog::Extents> extents(static_cast<std::size_t>(1 + below(4)));
    for (catalog::Extents& item : extents) item = {1 + below(2), 1 + below(3), 1 + below(9)};
    const plan::ItemLayout items(m, encoder_sp, extents);
    std::vector<int> takers(static_cast<std::size_t>(items.features()));
    for (int& taker : takers) taker = below(llm_sp);
    const auto route = plan::route_features(items, takers, llm_sp);
    const int encoder_tp = 1 + below(4), llm_tp = 1 + below(4);
    const auto got = carry(route, items, encoder_tp, llm_tp, below(llm_tp));
    INFO("trial " << trial);
    Rows all;
    for (std::size_t d = 0; d < got.size(); ++d) {
      CHECK(got[d] == route.arriving[d]);
      CHECK(static_cast<std::int64_t>(got[d].size()) == route.arriving_rows(static_cast<int>(d)));
      for (const auto row : got[d]) CHECK(takers[static_cast<std::size_t>(row)] == static_cast<int>(d));
      all.insert(all.end(), got[d].begin(), got[d].end());
    }
    std::sort(all.begin(), all.end());
    Rows every(takers.size());
    std::iota(every.begin(), every.end(), 0);
    CHECK(all == every);
  }
}
