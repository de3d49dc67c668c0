#include "cornstarch/plan/item_layout.h"

#include "catch.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/catalog/module_kind.h"

using namespace cornstarch;
using catalog::Shape;
using List = std::vector<std::int64_t>;
using Lists = std::vector<List>;

namespace {

catalog::Modality encoder_of(const std::string& family, const std::string& hf_config) {
  const auto made = catalog::make_spec(family, hf_config);
  REQUIRE(made.spec);
  catalog::Modality m;
  m.spec = *made.spec;
  return m;
}

/// Takes rows of 5 numbers, of items of any size, and gives one row of 7 for `merged` of them.
catalog::Modality any_size(std::int64_t merged) {
  catalog::Modality m;
  m.spec.item_shape = {5};
  const auto add = [&](catalog::ModuleBody body) {
    m.spec.modules.emplace_back();
    m.spec.modules.back().body = std::move(body);
  };
  add(catalog::Norm{});
  add(catalog::BlockSpec{});
  add(catalog::Projector{std::nullopt, {}, {"", 5 * merged, 7}, {}, merged});
  return m;
}

/// The attention of such an encoder's layer.
catalog::AttentionSpec& layer_of(catalog::Modality& m) {
  return std::get<catalog::BlockSpec>(m.spec.modules[1].body).attention;
}

const char* const kWhisper =
    R"({"d_model": 24, "encoder_ffn_dim": 31, "encoder_layers": 1, "encoder_attention_heads": 12,
          "num_mel_bins": 6, "max_source_positions": 9})";
const char* const kClip = R"({"hidden_size": 24, "intermediate_size": 29,
      "num_hidden_layers": 1, "num_attention_heads": 12, "image_size": 8, "patch_size": 4})";

/// Two items of the one size that the encoder takes.
plan::ItemLayout two(const catalog::Modality& encoder, int sp) {
  return {encoder, sp, {2, *catalog::fixed_extents(encoder.spec)}};
}

}  // namespace

TEST_CASE("the class token is dropped where it lies") {
  catalog::Modality clip = encoder_of("clip_vision_model", kClip);
  clip.drop_tokens = 1;
  clip.spec.modules.emplace_back();
  clip.spec.modules.back().body = catalog::Projector{std::nullopt, {}, {"", 24, 7}};
  const auto held = [&](int sp) {
    std::vector<Range> out;
    for (int c = 0; c < sp; ++c) out.push_back(two(clip, sp).features(1, c));
    return out;
  };
  CHECK(held(1) == std::vector<Range>{{0, 4}});
  CHECK(held(2) == std::vector<Range>{{0, 1}, {1, 4}});
  CHECK(held(5) == std::vector<Range>{{0, 0}, {0, 1}, {1, 2}, {2, 3}, {3, 4}});
  CHECK(two(clip, 5).features(0) == 4);
  CHECK(two(clip, 5).features() == 8);
}

TEST_CASE("before a convolution a rank holds the neighbours that its kernel reaches") {
  const auto whisper = encoder_of("whisper", kWhisper);
  const plan::ItemLayout items = two(whisper, 3);
  const auto places = [&](int module, int cp) { return items.places(1, module, cp); };
  // Behind conv1, conv2, the positions and the layer; three of nine tokens each.
  for (int module = 1; module < 4; ++module) CHECK(places(module, 1) == Range{3, 6});
  CHECK(places(0, 1) == Range{5, 12});  // conv2 takes 2 t - 1 to 2 t + 1
  CHECK(places(-1, 1) == Range{4, 13});
  CHECK(places(0, 0) == Range{0, 6});
  CHECK(places(-1, 0) == Range{0, 7});
  CHECK(places(0, 2) == Range{11, 18});
  CHECK(places(-1, 2) == Range{10, 18});
  CHECK(two(whisper, 1).places(0, -1, 0) == Range{0, 18});
}

TEST_CASE("where features are averaged, ranks hold whole averages") {
  const auto qwen = encoder_of("qwen2_audio_encoder",
                               R"({"d_model": 24, "encoder_ffn_dim": 31, "encoder_layers": 1,
          "encoder_attention_heads": 12, "num_mel_bins": 6, "max_source_positions": 9})");
  const plan::ItemLayout sounds = two(qwen, 3);
  const auto places = [&](int module, int cp) { return sounds.places(0, module, cp); };
  for (const int norm : {4, 5}) CHECK(places(norm, 1) == Range{1, 2});
  for (const int before : {1, 2, 3}) {
    CHECK(places(before, 0) == Range{0, 2});
    CHECK(places(before, 1) == Range{2, 4});
    CHECK(places(before, 2) == Range{4, 9});
  }
  CHECK(places(-1, 2) == Range{6, 18});
  CHECK(sounds.token_layout().shares() ==
        plan::TokenShares{{0, 1, 9, 10}, {2, 3, 11, 12}, {4, 5, 6, 7, 8, 13, 14, 15, 16, 17}});

  catalog::Modality clip = encoder_of("clip_vision_model", R"({"hidden_size": 24, "intermediate_size": 29,
      "num_hidden_layers": 1, "num_attention_heads": 12, "image_size": 20, "patch_size": 4})");
  clip.spec.modules.push_back({"projector", catalog::Projector{{}, {}, {}, catalog::AvgPool{5, 5, 2, 2}}});
  clip.drop_tokens = 1;
  const plan::ItemLayout pictures = two(clip, 2);
  CHECK(pictures.features(1) == 4);
  CHECK(pictures.features(1, 0) == Range{0, 2});
  CHECK(pictures.features(1, 1) == Range{2, 4});
  CHECK(pictures.places(1, 0, 0) == Range{0, 11});
  CHECK(pictures.places(1, 0, 1) == Range{11, 26});
}

TEST_CASE("patches are dealt evenly, the class token with the first") {
  const auto clip = encoder_of("clip_vision_model", kClip);
  const plan::ItemLayout items = two(clip, 2);
  CHECK(items.places(0, 0, 0) == Range{0, 2});
  CHECK(items.places(0, 2, 1) == Range{2, 5});
  CHECK(items.token_layout().shares() == plan::TokenShares{{0, 1, 5, 6}, {2, 3, 4, 7, 8, 9}});
}

TEST_CASE("items of one size lie as rows of a batch") {
  const auto whisper = encoder_of("whisper", kWhisper);
  const plan::ItemLayout items = two(whisper, 3);
  CHECK(items.one_size());
  CHECK(items.shape(-1, 1) == Shape{2, 6, 18});
  CHECK(items.shape(0, 1) == Shape{2, 24, 7});
  CHECK(items.shape(1, 1) == Shape{2, 24, 3});
  CHECK(items.shape(2, 1) == Shape{2, 3, 24});
  CHECK(items.shape(3, 1) == Shape{2, 3, 24});
  const auto clip = encoder_of("clip_vision_model", kClip);
  CHECK(two(clip, 1).shape(-1, 0) == Shape{2, 3, 8, 8});
  CHECK(two(clip, 2).shape(0, 1) == Shape{2, 3, 24});
}

TEST_CASE("items of one size on one rank are plain rows") {
  const auto clip = encoder_of("clip_vision_model", kClip);
  const plan::TokenLayout whole = two(clip, 1).token_layout();
  CHECK(whole.is_plain());
  CHECK(whole.rows() == std::vector<Range>{{0, 5}, {5, 10}});
  CHECK_FALSE(two(clip, 2).token_layout().is_plain());
  CHECK_FALSE(plan::ItemLayout(any_size(1), 1, {{1, 2, 2}}).token_layout().is_plain());
}

TEST_CASE("items of sizes of their own lie one behind the other") {
  const auto encoder = any_size(1);
  const plan::ItemLayout items(encoder, 2, {{1, 2, 2}, {1, 1, 1}, {3, 1, 1}});
  CHECK_FALSE(items.one_size());
  CHECK(items.shape(-1, 0) == Shape{1, 3, 5});
  CHECK(items.shape(1, 1) == Shape{1, 5, 5});
  CHECK(items.shape(2, 1) == Shape{1, 5, 7});
  CHECK(items.token_layout().shares() == plan::TokenShares{{0, 1, 5}, {2, 3, 4, 6, 7}});
  CHECK(items.token_layout().positions(0) == Lists{{0, 1, 0}});
  CHECK(items.token_layout().positions(1) == Lists{{2, 3, 0, 1, 2}});
  CHECK(items.token_layout().length() == 4);
  CHECK(items.features(0) == 4);
  CHECK(items.features() == 8);
  const plan::AttentionPattern pattern = items.token_layout().pattern();
  // What a film shows at one time sees nothing of another.
  CHECK(pattern.begin == List{0, 0, 0, 0, 4, 5, 6, 7});
  CHECK(pattern.end == List{4, 4, 4, 4, 5, 6, 7, 8});
}

TEST_CASE("patches stand in their grid, squares one behind the other") {
  auto encoder = any_size(4);
  encoder.spec.patch_block = 2;
  layer_of(encoder).rope = catalog::RopeSpec{.sections = {1, 1}};
  const plan::ItemLayout items(encoder, 2, {{1, 2, 4}, {2, 4, 2}});
  const plan::TokenLayout layout = items.token_layout();
  CHECK(layout.positions(0) == Lists{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
                                     {0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3},
                                     {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1}});
  CHECK(layout.positions(1) == Lists{{0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1},
                                     {0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3},
                                     {2, 3, 2, 3, 0, 1, 0, 1, 0, 1, 0, 1}});
  CHECK(layout.length() == 4);
}

TEST_CASE("a window is a square of the grid, at its edges what is left of one") {
  auto encoder = any_size(1);
  layer_of(encoder).window = 2;
  const plan::TokenLayout layout = plan::ItemLayout(encoder, 1, {{1, 3, 5}, {2, 2, 1}}).token_layout();
  CHECK(plan::visible_keys(layout.pattern(0)) ==
        List{15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 2, 2, 2, 2});
  const plan::AttentionPattern& pattern = layout.pattern(2);
  const std::vector<int> windows = {0, 0, 1, 1, 2, 0, 0, 1, 1, 2, 3, 3, 4, 4, 5, 0, 0, 0, 0};
  CHECK(pattern.kind == windows);
  CHECK(pattern.only == windows);
  CHECK(plan::visible_keys(pattern) == List{4, 4, 4, 4, 2, 4, 4, 4, 4, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2});
}

TEST_CASE("what a feature is made of is on one rank") {
  const auto encoder = any_size(4);
  const plan::ItemLayout items(encoder, 2, {{1, 4, 3}, {1, 2, 2}});
  CHECK(items.features(0) == 3);
  CHECK(items.features(0, 0) == Range{0, 1});
  CHECK(items.features(0, 1) == Range{1, 3});
  CHECK(items.places(0, 1, 1) == Range{4, 12});
  CHECK(items.features(1, 0) == Range{0, 0});  // an item may be too small for all
  CHECK(items.places(1, -1, 0).size() == 0);
  CHECK(items.shape(1, 0) == Shape{1, 4, 5});
  CHECK(items.shape(2, 1) == Shape{1, 3, 7});
  CHECK(items.token_layout().shares() ==
        plan::TokenShares{{0, 1, 2, 3}, {4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}});
}
