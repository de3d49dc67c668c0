#include "cornstarch/catalog/module_kind.h"

#include "catch.h"

using namespace cornstarch;
using namespace cornstarch::catalog;

namespace {

ModuleSpec module(ModuleBody body) { return {"m", std::move(body)}; }

PatchEmbedding patches() {
  PatchEmbedding p;
  p.image_size = 8;
  p.patch_size = 2;
  p.hidden = 5;
  return p;
}

const ModuleSpec kPatches = module(patches());
const ModuleSpec kSlow = module(Conv1d{3, 5, 1, true, "c"});
const ModuleSpec kFast = module(Conv1d{5, 7, 2, false, "c"});

}  // namespace

TEST_CASE("each kind's part in its model") {
  CHECK(role_of(module(TokenEmbedding{})) == Role::entry);
  CHECK(role_of(kPatches) == Role::entry);
  CHECK(role_of(kSlow) == Role::entry);
  CHECK(role_of(module(AddPositions{})) == Role::entry);
  CHECK(role_of(module(BlockSpec{})) == Role::layer);
  CHECK(role_of(module(Norm{})) == Role::norm);
  CHECK(role_of(module(LmHead{})) == Role::head);
  CHECK(role_of(module(Projector{})) == Role::projector);
  CHECK(attention_of(module(Norm{})) == nullptr);
  BlockSpec block;
  block.attention.window = 9;
  const ModuleSpec layer = module(block);
  CHECK(attention_of(layer)->window == 9);
  CHECK(feeds_features(module(Norm{})));
  CHECK_FALSE(feeds_features(module(Norm{{}, true})));
}

TEST_CASE("places of an item, and what of them a module takes") {
  CHECK(places_behind(kPatches, 8) == 16 + patches().leading());
  CHECK(places_before(kPatches, {3, 5}, 8) == Range{0, 8});  // a picture comes whole
  CHECK(places_behind(kSlow, 7) == 7);
  CHECK(places_behind(kFast, 7) == 4);
  CHECK(places_behind(kFast, 8) == 4);
  CHECK(places_before(kSlow, {2, 5}, 7) == Range{1, 6});
  CHECK(places_before(kFast, {0, 2}, 7) == Range{0, 4});
  CHECK(places_before(kFast, {2, 4}, 7) == Range{3, 7});
  CHECK(places_behind(module(BlockSpec{}), 7) == 7);
  CHECK(places_before(module(BlockSpec{}), {2, 5}, 7) == Range{2, 5});
  CHECK_FALSE(place_dim(kPatches));
  CHECK(place_dim(kFast) == 2);
  CHECK(place_dim(module(AddPositions{})) == 2);
  CHECK(place_dim(module(BlockSpec{})) == 1);
}

TEST_CASE("averages need whole strides, and a rank of several rows whole rows") {
  const ModuleSpec row = module(AvgPool{1, 9, 1, 2});
  CHECK(dealt_together(row) == 1);
  CHECK(places_behind(row, 9) == 4);
  CHECK(places_before(row, {1, 3}, 9) == Range{2, 6});
  CHECK(places_before(row, {3, 4}, 9) == Range{6, 9});  // with the ninth, which is in no average
  const ModuleSpec grid = module(AvgPool{5, 7, 2, 3});
  CHECK(dealt_together(grid) == 2);
  CHECK(places_behind(grid, 35) == 4);
  CHECK(places_before(grid, {0, 2}, 35) == Range{0, 14});
  CHECK(places_before(grid, {2, 4}, 35) == Range{14, 35});
  const ModuleSpec projector = module(Projector{{}, {}, {"", 7, 9}, AvgPool{5, 7, 2, 3}});
  CHECK(dealt_together(projector) == 2);
  CHECK(dealt_together(module(Projector{})) == 1);
  CHECK(places_behind(projector, 36) == 4);  // behind a class token
  CHECK(places_before(projector, {0, 2}, 36) == Range{0, 15});
  CHECK(places_before(projector, {2, 4}, 36) == Range{15, 36});
  CHECK(shape_behind(grid, {35, 6}, 4) == Shape{4, 6});
  CHECK(role_of(grid) == Role::entry);
}

TEST_CASE("a projector may make one feature of several tokens") {
  const ModuleSpec merger = module(Projector{std::nullopt, {}, {"", 20, 9}, {}, 4});
  CHECK(places_behind(merger, 12) == 3);
  CHECK(places_before(merger, {1, 3}, 12) == Range{4, 12});
}

TEST_CASE("an encoder's own merger makes features of squares, of patches of any picture") {
  const ModuleSpec rows = module(PatchRows{3, 2, 4, 5, "p"});
  const ModuleSpec merger = module(Merger{{}, {LinearSpec{"", 20, 20}, {}, {"", 20, 9}, {}, 4}});
  CHECK(role_of(rows) == Role::entry);
  CHECK(role_of(merger) == Role::entry);
  CHECK_FALSE(extents_taken(rows, {3, 2, 4, 4}));
  CHECK(place_dim(rows) == 1);
  CHECK(places_behind(rows, 12) == 12);
  CHECK(places_behind(merger, 12) == 3);
  CHECK(places_before(merger, {1, 3}, 12) == Range{4, 12});
  CHECK(shape_behind(rows, {12, 3, 2, 4, 4}, 12) == Shape{12, 5});
  CHECK(shape_behind(merger, {12, 5}, 3) == Shape{3, 9});
  CHECK(flops_of(rows).per_place == 2.0 * 96 * 5);
  CHECK(flops_of(merger).per_place == 2.0 * 20 * 20 + 2.0 * 20 * 9);
}

TEST_CASE("the extents that an encoder takes are its first module's to say") {
  CHECK(extents_taken(kPatches, {3, 8, 8}) == Extents{1, 4, 4});
  CHECK(extents_taken(kSlow, {3, 7}) == Extents{1, 1, 7});
  CHECK(extents_taken(module(AddPositions{4, 7, "p"}), {7, 4}) == Extents{1, 1, 4});
  CHECK_FALSE(extents_taken(module(BlockSpec{}), {7}));
  ModelSpec spec;
  spec.modules = {kSlow, kFast, module(BlockSpec{})};
  CHECK(last_places(spec, {1, 1, 7}) == 4);
}

TEST_CASE("the shape of an item behind each kind") {
  CHECK(shape_behind(kPatches, {3, 8, 8}, 17) == Shape{17, 5});
  CHECK(shape_behind(kFast, {5, 8}, 4) == Shape{7, 4});
  CHECK(shape_behind(module(AddPositions{4, 7, "p"}), {7, 4}, 4) == Shape{4, 7});
  CHECK(shape_behind(module(BlockSpec{}), {4, 7}, 4) == Shape{4, 7});
  CHECK(shape_behind(module(Projector{std::nullopt, {}, {"", 7, 9}}), {4, 7}, 4) == Shape{4, 9});
}

TEST_CASE("products by place and pair") {
  BlockSpec block;
  block.attention.heads = 2;
  block.attention.head_dim = 3;
  block.attention.q = {"", 1, 10};
  block.attention.k = {"", 1, 100};
  block.attention.v = {"", 1, 1000};
  block.attention.o = {"", 1, 10000};
  block.feed_forward.up = {"", 1, 100000};
  block.feed_forward.down = {"", 1, 1000000};
  CHECK(flops_of(module(block)).per_place == 2222220.0);
  block.feed_forward.gate = LinearSpec{"", 1, 10000000};
  CHECK(flops_of(module(block)).per_place == 22222220.0);
  CHECK(flops_of(module(block)).per_pair == 24.0);
  CHECK(flops_of(kPatches).per_place == 2.0 * 3 * 2 * 2 * 5);
  CHECK(flops_of(kFast).per_place == 2.0 * 3 * 5 * 7);
  CHECK(flops_of(module(LmHead{{"", 2, 3}})).per_place == 12.0);
  CHECK(flops_of(module(Projector{LinearSpec{"", 2, 3}, {}, {"", 3, 3}})).per_place == 30.0);
  CHECK(flops_of(module(Norm{})).per_place == 0.0);
}
