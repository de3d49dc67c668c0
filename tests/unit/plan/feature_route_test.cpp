#include "cornstarch/plan/feature_route.h"

#include <algorithm>
#include <numeric>

#include "catch.h"
#include "cornstarch/base/random.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/plan/item_parts.h"
#include "cornstarch/plan/plan.h"

using namespace cornstarch;
using Rows = std::vector<std::int64_t>;

namespace {

/// Of tokens as they come.
catalog::Modality bare(std::int64_t dropped, std::int64_t features) {
  catalog::Modality m;
  m.spec.item_shape = {dropped + features};
  m.drop_tokens = dropped;
  m.features_per_item = features;
  return m;
}

std::vector<Range> held_by(const catalog::Modality& m, int sp) {
  std::vector<Range> out;
  for (int c = 0; c < sp; ++c) out.push_back(plan::item_features(m, sp, c));
  return out;
}

catalog::Modality encoder_of(const std::string& family, const std::string& hf_config) {
  const auto made = catalog::make_spec(family, hf_config);
  REQUIRE(made.spec);
  catalog::Modality m;
  m.spec = *made.spec;
  return m;
}

/// What crosses: every encoder rank holds rows whose values are their numbers over the microbatch, sends each
/// LLM rank's stretch cut by tp, and every LLM tp rank puts together what it gets.
std::vector<Rows> carry(const plan::FeatureRoute& route, const std::vector<Range>& held, std::int64_t items,
                        int encoder_tp, int llm_tp, int receiver_tp) {
  const std::int64_t per_item = held.back().end;
  std::vector<Rows> out(route.arriving.size());
  for (std::size_t d = 0; d < out.size(); ++d)
    for (std::size_t c = 0; c < held.size(); ++c) {
      Rows own;
      for (std::int64_t i = 0; i < items; ++i)
        for (auto row = held[c].begin; row < held[c].end; ++row) own.push_back(i * per_item + row);
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
  const std::vector<Range> held = {{0, 2}, {2, 5}};
  const auto route = plan::route_features(held, {0, 1, 0, 0, 1, 1, 0, 0, 0, 1}, 2);
  CHECK(route.counts == std::vector<Rows>{{2, 2}, {4, 2}});
  CHECK(route.leaving == std::vector<Rows>{{0, 3, 1, 2}, {0, 1, 3, 4, 2, 5}});
  CHECK(route.arriving == std::vector<Rows>{{0, 6, 2, 3, 7, 8}, {1, 5, 4, 9}});
  CHECK(route.leaving_rows(1) == 6);
  CHECK(route.arriving_rows(1) == 4);
}

TEST_CASE("every feature row arrives once, on the rank that takes it, for any sizes of both sides") {
  const Philox random(3, "routes");
  std::uint64_t draw = 0;
  const auto below = [&](int n) { return static_cast<int>(random.uniform(draw++) * n); };
  for (int trial = 0; trial < 300; ++trial) {
    const int dropped = below(2);
    const catalog::Modality m = bare(dropped, 1 + below(9));
    const int encoder_sp = 1 + below(5), llm_sp = 1 + below(4), items = 1 + below(4);
    const auto held = held_by(m, encoder_sp);
    std::vector<int> takers(static_cast<std::size_t>(items * m.features_per_item));
    for (int& taker : takers) taker = below(llm_sp);
    const auto route = plan::route_features(held, takers, llm_sp);
    const int encoder_tp = 1 + below(4), llm_tp = 1 + below(4);
    const auto got = carry(route, held, items, encoder_tp, llm_tp, below(llm_tp));
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

TEST_CASE("the class token is dropped where it lies") {
  const catalog::Modality m = bare(1, 4);
  CHECK(held_by(m, 1) == std::vector<Range>{{0, 4}});
  CHECK(held_by(m, 2) == std::vector<Range>{{0, 1}, {1, 4}});
  CHECK(held_by(m, 5) == std::vector<Range>{{0, 0}, {0, 1}, {1, 2}, {2, 3}, {3, 4}});
}

TEST_CASE("before a convolution a rank holds the neighbours that its kernel reaches") {
  const auto whisper =
      encoder_of("whisper",
                 R"({"d_model": 24, "encoder_ffn_dim": 31, "encoder_layers": 1, "encoder_attention_heads": 12,
          "num_mel_bins": 6, "max_source_positions": 9})");
  const auto places = [&](int module, int cp) { return plan::item_places(whisper.spec, module, 3, cp); };
  // Behind conv1, conv2, the positions and the layer; three of nine tokens each.
  for (int module = 1; module < 4; ++module) CHECK(places(module, 1) == Range{3, 6});
  CHECK(places(0, 1) == Range{5, 12});  // conv2 takes 2 t - 1 to 2 t + 1
  CHECK(places(-1, 1) == Range{4, 13});
  CHECK(places(0, 0) == Range{0, 6});
  CHECK(places(-1, 0) == Range{0, 7});
  CHECK(places(0, 2) == Range{11, 18});
  CHECK(places(-1, 2) == Range{10, 18});
  CHECK(plan::item_places(whisper.spec, -1, 1, 0) == Range{0, 18});
}

TEST_CASE("where features are averaged, ranks hold whole averages") {
  const auto qwen = encoder_of("qwen2_audio_encoder",
                               R"({"d_model": 24, "encoder_ffn_dim": 31, "encoder_layers": 1,
          "encoder_attention_heads": 12, "num_mel_bins": 6, "max_source_positions": 9})");
  const auto places = [&](int module, int cp) { return plan::item_places(qwen.spec, module, 3, cp); };
  for (const int norm : {4, 5}) CHECK(places(norm, 1) == Range{1, 2});
  for (const int before : {1, 2, 3}) {
    CHECK(places(before, 0) == Range{0, 2});
    CHECK(places(before, 1) == Range{2, 4});
    CHECK(places(before, 2) == Range{4, 9});
  }
  CHECK(places(-1, 2) == Range{6, 18});

  catalog::Modality clip = encoder_of("clip_vision_model", R"({"hidden_size": 24, "intermediate_size": 29,
      "num_hidden_layers": 1, "num_attention_heads": 12, "image_size": 20, "patch_size": 4})");
  clip.spec.modules.push_back({"projector", catalog::Projector{{}, {}, {}, catalog::AvgPool{5, 5, 2, 2}}});
  clip.drop_tokens = 1;
  clip.features_per_item = 4;
  CHECK(held_by(clip, 2) == std::vector<Range>{{0, 2}, {2, 4}});
  CHECK(plan::item_places(clip.spec, 0, 2, 0) == Range{0, 11});
  CHECK(plan::item_places(clip.spec, 0, 2, 1) == Range{11, 26});
}

TEST_CASE("patches are dealt evenly, the class token with the first") {
  const auto clip = encoder_of("clip_vision_model", R"({"hidden_size": 24, "intermediate_size": 29,
      "num_hidden_layers": 1, "num_attention_heads": 12, "image_size": 8, "patch_size": 4})");
  CHECK(plan::item_places(clip.spec, 0, 2, 0) == Range{0, 2});
  CHECK(plan::item_places(clip.spec, 2, 2, 1) == Range{2, 5});
  CHECK(plan::item_places(clip.spec, -1, 2, 1) == Range{0, 8});
}
