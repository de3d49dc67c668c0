#include "cornstarch/catalog/shard.h"

#include "catch.h"

using namespace cornstarch;
using catalog::Shape;

TEST_CASE("a rank holds whole units of a parameter, or all of it") {
  catalog::ParamSpec param{.name = "w", .shape = {10, 4}};
  CHECK(catalog::part_of(param, 3, 1) == Range{});
  CHECK(catalog::shard_shape(param, 3, 1) == Shape{10, 4});
  param.split = {0, 2};  // five units
  CHECK(catalog::part_of(param, 3, 0) == Range{0, 2});
  CHECK(catalog::part_of(param, 3, 1) == Range{2, 6});
  CHECK(catalog::part_of(param, 3, 2) == Range{6, 10});
  CHECK(catalog::shard_shape(param, 3, 1) == Shape{4, 4});
  param.split = {1, 1};
  CHECK(catalog::shard_shape(param, 2, 1) == Shape{10, 2});
}
