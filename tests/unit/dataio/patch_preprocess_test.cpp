#include <algorithm>

#include "catch.h"
#include "cornstarch/dataio/preprocess.h"
#include "golden.h"

using namespace cornstarch::dataio;
using cornstarch::cat;
using cornstarch::catalog::Extents;
using Shape = std::vector<std::int64_t>;

namespace {

/// One value a colour and patch: patches of one pixel.
const char* const kPixels =
    R"({"patch_size": 1, "temporal_patch_size": 1, "merge_size": 2, "do_rescale": false,)"
    R"( "do_normalize": false, "size": {"shortest_edge": 4, "longest_edge": 64}})";

std::string problem(const std::string& json, const Shape& shape = {3, 2, 14, 14}) {
  const auto made = PatchPreprocessor::parse(json, shape, 2);
  return made ? "" : made.error().message;
}

}  // namespace

TEST_CASE("pictures become, bit for bit, what Qwen2VLImageProcessor makes of them") {
  const auto cases = golden::json("patches.json");
  REQUIRE(cases.size() == 11);
  for (const auto& one : cases) {
    const auto name = one["name"].get<std::string>();
    CAPTURE(name);
    const auto shape = one["shape"].get<Shape>();
    const std::string json = one["preprocessor_json"];
    const auto said = nlohmann::json::parse(json.empty() ? "{}" : json);
    const std::int64_t size = said.value("patch_size", 14), block = said.value("merge_size", 2);
    const Shape patch = {3, said.value("temporal_patch_size", 2), size, size};
    const auto preprocess = PatchPreprocessor::parse(json, patch, block);
    REQUIRE(preprocess);
    const auto path = golden::path(one["picture"].get<std::string>());
    const auto image = read_image(path);
    REQUIRE(image);
    const auto item = (*preprocess)(*image);
    REQUIRE(item);
    CHECK(item->shape == shape);
    CHECK(item->values == golden::floats("patches_" + name + ".bin"));
    // The header is enough to know how many.
    const auto info = probe_image(path);
    REQUIRE(info);
    const auto grid = one["grid"].get<Shape>();
    CHECK(preprocess->extents(info->width, info->height).value() == Extents{grid[0], grid[1], grid[2]});
    const auto again = PatchPreprocessor::parse(preprocess->to_json(), patch, block);
    REQUIRE(again);
    CHECK((*again)(*image)->values == item->values);
  }
}

TEST_CASE("a picture of any size has as many patches as for Qwen2VLImageProcessor, or is refused as there") {
  std::size_t refused = 0, taken = 0;
  for (const auto& one : golden::json("patch_counts.json")) {
    const auto patch = one["patch_size"].get<std::int64_t>();
    const auto preprocess =
        PatchPreprocessor::parse(one.dump(), {3, 2, patch, patch}, one.value("merge_size", 2));
    REQUIRE(preprocess);
    for (const auto& counts : one["counts"]) {
      const int width = counts[0], height = counts[1];
      CAPTURE(width, height, patch);
      const auto grid = preprocess->extents(width, height);
      if (counts.size() == 2) {
        ++refused;
        CHECK(grid.error().message == cat("a picture of ", width, " x ", height,
                                          " pixels: one side is more than 200 times the other, which "
                                          "Qwen2VLImageProcessor refuses"));
      } else {
        ++taken;
        CHECK(grid.value() == Extents{1, counts[2], counts[3]});
      }
    }
  }
  CHECK(refused == 240);
  CHECK(taken == 2064);
}

TEST_CASE("patches come square by square, and times behind each other in each colour") {
  auto preprocess = PatchPreprocessor::parse(kPixels, {3, 1, 1, 1}, 2);
  REQUIRE(preprocess);
  Image image{4, 2, {}};
  for (int i = 0; i < 24; ++i) image.rgb.push_back(static_cast<std::uint8_t>(i));
  CHECK((*preprocess)(image)->values == std::vector<float>{0, 1, 2, 3, 4,  5,  12, 13, 14, 15, 16, 17,
                                                           6, 7, 8, 9, 10, 11, 18, 19, 20, 21, 22, 23});
  preprocess->temporal_patch_size = 2;
  const auto twice = (*preprocess)(image);
  CHECK(twice->shape == Shape{8, 6});
  CHECK(std::vector<float>(twice->values.begin(), twice->values.begin() + 12) ==
        std::vector<float>{0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5});
}

TEST_CASE("a picture that cannot be cut into patches is refused") {
  auto preprocess = PatchPreprocessor::parse(kPixels, {3, 1, 1, 1}, 2);
  REQUIRE(preprocess);
  preprocess->do_resize = false;
  const Image odd{4, 3, std::vector<std::uint8_t>(36)};
  CHECK((*preprocess)(odd).error().message ==
        "a picture of 4 x 3 pixels is not made of whole squares of 2 x 2, and preprocessor_config.json "
        "says \"do_resize\": false");
  const auto coarse = PatchPreprocessor::parse(
      R"({"patch_size": 16384, "temporal_patch_size": 1, "merge_size": 1, "min_pixels": 1, "max_pixels": 1})",
      {3, 1, 16384, 16384}, 1);
  REQUIRE(coarse);
  CHECK(coarse->extents(4, 4).error().message ==
        "a picture of 4 x 4 pixels would be resized to 16384 x 16384");
}

TEST_CASE("what a preprocessor_config.json of patches may not say") {
  const std::string p = "preprocessor_config.json: ";
  CHECK(problem("").empty());
  CHECK(problem("{}").empty());
  // What Qwen2-VL's first folders have: `size` in a form of its own, beside the keys that count.
  const std::string own = R"("size": {"min_pixels": 3136, "max_pixels": 12845056})";
  CHECK(problem(R"({"min_pixels": 3136, "max_pixels": 12845056, )" + own + "}").empty());
  CHECK(problem("{" + own + "}") == p + "'size' must be an object with shortest_edge and longest_edge");
  CHECK(problem(R"({"size": 28})") == p + "'size' must be an object with shortest_edge and longest_edge");
  CHECK(problem(R"({"max_pixels": 0})") == p + "'max_pixels' must be a whole number from 1, not 0");
  CHECK(problem(R"({"merge_size": 1.5})") == p + "'merge_size' must be a whole number from 1, not 1.5");
  CHECK(problem(R"({"resample": 1})") ==
        p + "'resample' 1 is not implemented; implemented: 2 (bilinear), 3 (bicubic)");
  CHECK(problem(R"({"image_std": 0})") == p + "'image_std' must not contain 0");
  const std::string of = " ([3, temporal_patch_size, patch_size, patch_size]), the encoder takes ";
  CHECK(problem(R"({"patch_size": 16})") == p + "it makes patches of [3, 2, 16, 16]" + of + "[3, 2, 14, 14]");
  CHECK(problem(R"({"patch_size": 16777216})") ==
        p + "it makes patches of [3, 2, 16777216, 16777216]" + of + "[3, 2, 14, 14]");
  CHECK(problem("{}", {3, 14, 14}) == p + "it makes patches of [3, 2, 14, 14]" + of + "[3, 14, 14]");
  CHECK(problem(R"({"merge_size": 3})") == p + "its merge_size is 3, the encoder's spatial_merge_size 2");
  CHECK(problem(R"({"image_processor_type": "CLIPImageProcessor"})") ==
        p + "'image_processor_type' is CLIPImageProcessor, which is not implemented here; implemented: "
            "Qwen2VLImageProcessor, Qwen2VLImageProcessorFast, Qwen2VLImageProcessorPil");
}
