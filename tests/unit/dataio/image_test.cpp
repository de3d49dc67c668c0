#include "cornstarch/dataio/image.h"

#include "catch.h"
#include "golden.h"

using cornstarch::ExitCode;
using namespace cornstarch::dataio;

namespace {

Image picture(const std::string& name) {
  return cornstarch::value_or_throw(read_image(golden::path("pictures/" + name)));
}

std::string bytes_of(const std::string& name) {
  return cornstarch::value_or_throw(cornstarch::read_file(golden::path("pictures/" + name)));
}

}  // namespace

TEST_CASE("PNG files of every kind decode as PIL's convert(\"RGB\") does") {
  const auto expected = golden::json("pictures.json");
  REQUIRE(expected.size() == 15);
  for (const auto& [name, picture_json] : expected.items()) {
    CAPTURE(name);
    const Image image = picture(name);
    CHECK(image.width == picture_json["width"].get<int>());
    CHECK(image.height == picture_json["height"].get<int>());
    CHECK(golden::distance(image.rgb, picture_json["rgb"].get<std::vector<std::uint8_t>>()) == 0);
  }
}

TEST_CASE("resizing gives PIL's bytes") {
  const auto expected = golden::json("resized.json");
  REQUIRE(expected.size() == 10);
  for (const auto& one : expected) {
    CAPTURE(one["picture"].get<std::string>(), one["width"].get<int>(), one["height"].get<int>());
    const Image image = resize(picture(one["picture"]), one["width"], one["height"], one["filter"]);
    CHECK(image.width == one["width"].get<int>());
    CHECK(image.height == one["height"].get<int>());
    CHECK(golden::distance(image.rgb, one["rgb"].get<std::vector<std::uint8_t>>()) == 0);
  }
}

TEST_CASE("the middle is cut, or padded with the odd row first") {
  const Image two{2, 1, {1, 2, 3, 4, 5, 6}};
  CHECK(center_crop(two, 1, 1).rgb == std::vector<std::uint8_t>{1, 2, 3});
  CHECK(center_crop(two, 2, 2).rgb == std::vector<std::uint8_t>{0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6});
  CHECK(center_crop(two, 3, 1).rgb == std::vector<std::uint8_t>{0, 0, 0, 1, 2, 3, 4, 5, 6});
  CHECK(center_crop(two, 1, 3).rgb == std::vector<std::uint8_t>{0, 0, 0, 1, 2, 3, 0, 0, 0});
}

TEST_CASE("pictures that are not read") {
  CHECK(read_image("/nowhere/a.png").error().code == ExitCode::missing_input);
  CHECK(decode_png("GIF89a").error().message == "not a PNG picture");
  CHECK(decode_png("").error().message == "not a PNG picture");
  const std::string whole = bytes_of("rgb.png");
  CHECK(decode_png(whole.substr(0, 20)).error().message == "a broken PNG picture: the file ends early");
  CHECK(decode_png(whole.substr(0, whole.size() - 30)).error().message ==
        "a broken PNG picture: the file ends early");
  std::string flipped = whole;
  flipped[18] ^= 1;
  CHECK(decode_png(flipped).error().message == "a broken PNG picture: IHDR: CRC error");
}

TEST_CASE("pictures beyond the limits are refused before they are decoded") {
  const std::string bytes = bytes_of("rgb.png");
  CHECK(decode_png(bytes, {.pixels = 41 * 29}));
  CHECK(decode_png(bytes, {.pixels = 41 * 29 - 1}).error().message ==
        "a picture of 41 x 29 pixels, more than the 1188 that are read");
  CHECK(decode_png(bytes, {.edge = 40}).error().message == "a broken PNG picture: Invalid IHDR data");
  CHECK(read_image(golden::path("pictures/rgb.png"), {.file_bytes = 10}).error().code == ExitCode::bad_data);
}

TEST_CASE("no damage to a PNG does worse than an error") {
  for (const std::string name : {"palette_transparent.png", "interlaced.png", "grey16.png"}) {
    const std::string whole = bytes_of(name);
    for (std::size_t at = 0; at < whole.size(); ++at) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
      const auto image = decode_png(damaged);
      if (image)
        CHECK(image->rgb.size() ==
              3 * static_cast<std::size_t>(image->width) * static_cast<std::size_t>(image->height));
      if (at < whole.size() - 16) CHECK_FALSE(decode_png(whole.substr(0, at)));
    }
  }
}
