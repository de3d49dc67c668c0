#include "cornstarch/plan/flops.h"

#include "catch.h"
#include "plan_fixture.h"

using namespace cornstarch;

namespace {

/// 2 x `products` a token, 4 x `heads` a pair.
catalog::BlockSpec layer(std::int64_t products, std::int64_t heads) {
  catalog::BlockSpec block;
  block.attention.heads = heads;
  block.attention.head_dim = 1;
  block.attention.q = {"", 1, products};
  return block;
}

/// An encoder of a layer and a projector, an LLM of a layer, a layer and a head: 4 tokens an item, 3 of them
/// features.
catalog::Modalities model(bool encoder, bool projector, bool llm) {
  catalog::Modalities m = {test::encoder("vision", 1, 1, 1, encoder, projector), test::llm(1, 1, 1, llm)};
  m[0].spec.item_shape = {1};
  m[0].drop_tokens = 1;
  m[0].spec.modules[0].body = layer(5, 1);
  m[0].spec.modules[1].body = catalog::Projector{std::nullopt, {}, {"", 10, 5}};
  m[1].spec.modules[0].body = layer(500, 3);
  m[1].spec.modules[1].body = catalog::LmHead{{"", 1, 3}};
  return m;
}

/// Two items.
plan::StepFlops flops_of(const catalog::Modalities& m) {
  const double items = 2 * plan::item_flops(m[0], {1, 1, 4});
  return plan::step_flops(
      m, {.tokens = 7, .token_pairs = 25, .visible_pairs = 11, .targets = 2, .items = items});
}

constexpr double kLayer = 2 * (10 * 4 + 4 * 16), kProjector = 2 * 100 * 3, kLlm = 1000 * 7, kHead = 6 * 2;
constexpr double kPairs = 12 * 25;

}  // namespace

TEST_CASE("a module counts once, twice or three times by what its gradients are needed for") {
  const auto of = [](bool encoder, bool projector, bool llm) {
    return flops_of(model(encoder, projector, llm)).full_attention;
  };
  CHECK(of(true, true, true) == 3 * (kLayer + kProjector + kLlm + kHead + kPairs));
  CHECK(of(false, true, false) == kLayer + 3 * kProjector + 2 * (kLlm + kHead + kPairs));
  CHECK(of(true, false, false) == 3 * kLayer + 2 * (kProjector + kLlm + kHead + kPairs));
  CHECK(of(false, false, true) == kLayer + kProjector + 3 * (kLlm + kHead + kPairs));
}

TEST_CASE(
    "modules in front of the first that trains need their forward only, those behind it pass gradients") {
  catalog::Modalities m = model(false, false, true);
  set_trains(m[1].spec.modules[0], false);
  CHECK(flops_of(m).full_attention == kLayer + kProjector + kLlm + kPairs + 3 * kHead);
  m = model(false, false, true);
  set_trains(m[1].spec.modules[1], false);
  CHECK(flops_of(m).full_attention == kLayer + kProjector + 3 * (kLlm + kPairs) + 2 * kHead);
}

TEST_CASE("the conventions differ by what the mask hides of the LLM's attention") {
  const auto flops = flops_of(model(true, true, true));
  CHECK(flops.full_attention - flops.masked == 3 * 12 * (25 - 11));
}

TEST_CASE("modules that nothing uses do not count") {
  catalog::Modalities m = model(true, true, true);
  m[0].used[0] = false;
  set_trains(m[0].spec.modules[0], false);
  CHECK(flops_of(m).full_attention == 3 * (kProjector + kLlm + kHead + kPairs));
}

TEST_CASE("an item counts by its size") {
  const catalog::Modalities m = model(true, true, true);
  CHECK(plan::item_flops(m[0], {2, 3, 1}) == 3 * (10 * 6 + 4 * 2 * 9 + 100 * 5));  // two times
}

TEST_CASE("an encoder's pairs are those of a time, and of a window's square") {
  const auto pairs = [](std::int64_t window, const catalog::Extents& item) {
    catalog::Modalities m = model(false, false, true);
    m[0].drop_tokens = 0;
    catalog::BlockSpec block = layer(0, 1);
    block.attention.window = window;
    m[0].spec.modules[0].body = block;
    m[0].spec.modules[1].body = catalog::Norm{};
    return plan::item_flops(m[0], item) / 4;
  };
  CHECK(pairs(0, {1, 3, 5}) == 15 * 15);
  CHECK(pairs(0, {2, 3, 5}) == 2 * 15 * 15);
  CHECK(pairs(2, {2, 3, 5}) == 2 * (4 + 1) * (4 + 4 + 1));
  CHECK(pairs(8, {1, 3, 5}) == 15 * 15);
}
