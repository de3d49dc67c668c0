#include "cornstarch/plan/rope_positions.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "cornstarch/base/files.h"

using namespace cornstarch;
using catalog::Extents;
using plan::PartPositions;
using Ids = std::vector<std::int64_t>;

TEST_CASE("tokens of mixed samples stand where transformers puts them") {
  const auto path = std::filesystem::path(CORNSTARCH_TEST_DIR) / "golden/rope_positions.json";
  const auto cases = nlohmann::json::parse(value_or_throw(read_file(path)));
  REQUIRE(cases.size() == 120);
  std::size_t items = 0;
  for (const auto& one : cases) {
    CAPTURE(one["parts"].dump());
    const auto merge = one["merge"].get<std::int64_t>();
    Ids ids;
    std::vector<std::vector<Extents>> grids(1);
    for (const auto& part : one["parts"]) {
      if (part.is_number()) {
        ids.insert(ids.end(), part.get<std::size_t>(), 7);
        continue;
      }
      grids[0].push_back({part[0], part[1].get<std::int64_t>() / merge, part[2].get<std::int64_t>() / merge});
      ids.insert(ids.end(), static_cast<std::size_t>(grids[0].back().places()), -1);
    }
    CHECK(plan::rope_positions(ids, grids) == one["positions"].get<PartPositions>());
    items += grids[0].size();
  }
  CHECK(items > 100);
}

TEST_CASE("pictures of two encoders side by side, and features that are no picture's") {
  const Ids ids = {-2, -2, -1, -1, -3, -3, -3, -2, -2, 5};
  const std::vector<std::vector<Extents>> grids = {{{1, 2, 1}}, {{1, 1, 2}, {2, 1, 1}}, {}};
  CHECK(plan::rope_positions(ids, grids) == PartPositions{Ids{0, 0, 2, 2, 4, 5, 6, 7, 8, 8},
                                                          Ids{0, 0, 2, 3, 4, 5, 6, 7, 7, 8},
                                                          Ids{0, 1, 2, 2, 4, 5, 6, 7, 7, 8}});
  CHECK(plan::rope_positions({}, grids) == PartPositions{});
}
