#include "cornstarch/dataio/image.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "byte_source.h"
#include "catch.h"
#include "golden.h"
#include "peak_memory.h"

using cornstarch::ExitCode;
using namespace cornstarch::dataio;

namespace {

Image picture(const std::string& name) {
  return cornstarch::value_or_throw(read_image(golden::path("pictures/" + name)));
}

std::string file(const std::string& name) {
  return cornstarch::value_or_throw(cornstarch::read_file(golden::path(name)));
}

std::string bytes_of(const std::string& name) { return file("pictures/" + name); }

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

TEST_CASE("a picture of any format is what transformers' load_image makes of it, to the byte") {
  const auto expected = golden::json("photos.json");
  const std::string pixels = file("photos.bin");
  REQUIRE(expected.size() == 53);
  for (const auto& [name, one] : expected.items()) {
    CAPTURE(name);
    const auto path = golden::path("photos/" + name);
    const auto image = read_image(path);
    REQUIRE(image);
    CHECK(image->width == one["width"].get<int>());
    CHECK(image->height == one["height"].get<int>());
    const auto begin = pixels.begin() + one["begin"].get<std::ptrdiff_t>();
    const std::vector<std::uint8_t> rgb(begin, begin + 3 * std::ptrdiff_t{image->width} * image->height);
    CHECK(golden::distance(image->rgb, rgb) == 0);

    const auto info = probe_image(path);
    REQUIRE(info);
    CHECK(info->width == image->width);
    CHECK(info->height == image->height);
    std::string format(name_of(info->format));
    std::transform(format.begin(), format.end(), format.begin(), ::tolower);
    CHECK(name.starts_with(format + "_"));
  }
}

TEST_CASE("pictures that are not read") {
  const golden::Folder folder;
  CHECK(read_image("/nowhere/a.png").error().code == ExitCode::missing_input);
  CHECK(read_image("/nowhere/a.png").error().message ==
        "cannot read '/nowhere/a.png': No such file or directory");
  CHECK(probe_image("/nowhere/a.png").error().message ==
        "cannot read '/nowhere/a.png': No such file or directory");
  ByteSource closed = ByteSource::part_of(-1, 0, 100);
  CHECK(read_image(closed).error().message == "cannot be read: Bad file descriptor");
  CHECK(probe_image(closed).error().code == ExitCode::io);
  CHECK(read_image("/tmp").error().message == "cannot read '/tmp': it is a folder");
  const std::string pipe = (folder.path() / "pipe.png").string();
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(read_image(pipe).error().message == "cannot read '" + pipe + "': it is a FIFO, not a file");
  CHECK(probe_image(pipe).error().message == "cannot read '" + pipe + "': it is a FIFO, not a file");
}

TEST_CASE("files of other kinds are named, with what is read and what to do") {
  using namespace std::string_literals;
  const std::string read = "JPEG, PNG, WebP, GIF and BMP pictures are read";
  const std::string convert = read + "; convert it, as with ImageMagick: convert IN OUT.png";
  const std::string frames =
      read + "; take pictures out of a video, as with: ffmpeg -i IN -vf fps=1 OUT%03d.jpg";
  const std::vector<std::array<std::string, 3>> cases = {
      {"", "an empty file, which is not read", read},
      {"hello", "not a picture of a known format", read},
      {"BMW is a car, not a picture, and this is text", "not a picture of a known format", read},
      {"II*\0\x10\0\0\0"s, "a TIFF picture, which is not read", convert},
      {"MM\0*\0\0\0\x08"s, "a TIFF picture, which is not read", convert},
      {"\0\0\0\x1C"
       "ftypavif"s,
       "an AVIF picture, which is not read", convert},
      {"\0\0\0\x1C"
       "ftypheic"s,
       "a HEIC picture, which is not read", convert},
      {"\0\0\0\x1C"
       "ftypisom"s,
       "an MP4 or QuickTime video, which is not read", frames},
      {"\x1A\x45\xDF\xA3...", "a WebM or Matroska video, which is not read", frames},
      {"RIFF....AVI LIST", "an AVI video, which is not read", frames},
      {"RIFF....WAVEfmt ", "a WAV recording, which is not read", read},
      {"\xEF\xBB\xBF<?xml version='1.0'?>\n<svg>", "an SVG drawing, which is not read", convert},
      {" <!DOCTYPE HTML><p>404", "an HTML page, which is not read", read},
      {"version https://git-lfs.github.com/spec/v1",
       "a Git LFS pointer, not yet the file that it stands for, which is not read", read},
      {"\x1F\x8B\x08", "a gzip archive, which is not read", read},
  };
  for (const auto& [bytes, message, help] : cases) {
    CAPTURE(message);
    const auto image = decode_image(bytes);
    REQUIRE_FALSE(image);
    CHECK(image.error().code == ExitCode::bad_data);
    CHECK(image.error().message == message);
    CHECK(image.error().help == help);
  }
}

TEST_CASE("broken pictures: the decoder's own reason") {
  const auto problem = [](const std::string& bytes) {
    const auto image = decode_image(bytes);
    return image ? "" : image.error().message;
  };
  const auto cut = [](const std::string& name, std::size_t n) {
    const std::string whole = file(name);
    return whole.substr(0, whole.size() - n);
  };
  for (const std::string name : {"jpeg_420.jpg", "jpeg_progressive.jpg", "png_turned.png", "webp_lossy.webp",
                                 "webp_lossless.webp", "gif_plain.gif", "bmp_rgb.bmp"}) {
    CAPTURE(name);
    const std::string kind = name[0] == 'w' ? "WebP" : name.substr(0, name.find('_'));
    std::string upper = kind;
    if (kind != "WebP") std::transform(kind.begin(), kind.end(), upper.begin(), ::toupper);
    CHECK(problem(cut("photos/" + name, 60)) == "a broken " + upper + " picture: the file ends early");
    CHECK(problem(file("photos/" + name).substr(0, 25)) ==
          "a broken " + upper + " picture: the file ends early");
  }
  CHECK(decode_image(cut("pictures/rgb.png", 30)).error().help ==
        "copy or download it again, or save it anew with a program that still opens it");
  std::string flipped = bytes_of("rgb.png");
  flipped[18] ^= 1;
  CHECK(problem(flipped) == "a broken PNG picture: IHDR: CRC error");
  std::string other = file("photos/jpeg_420.jpg");
  other[other.find("\xFF\xC0") + 4] = 12;
  CHECK(problem(other) == "a broken JPEG picture: Unsupported JPEG data precision 12");
  other = file("photos/bmp_grey.bmp");
  other[30] = 1;
  CHECK(problem(other) == "a BMP picture that is compressed, which is not read");
  CHECK(decode_image(other).error().help ==
        "JPEG, PNG, WebP, GIF and uncompressed BMP pictures are read; convert it, as with ImageMagick: "
        "convert IN OUT.png");
}

TEST_CASE(
    "a JPEG with rubbish before a marker or behind its end decodes, one without an end does not, as in PIL") {
  const std::string whole = file("photos/jpeg_420.jpg");
  const auto rgb = decode_image(whole)->rgb;
  const std::size_t tables = whole.find("\xFF\xDB");
  const auto rgb_of = [](const std::string& bytes) {
    return cornstarch::value_or_throw(decode_image(bytes)).rgb;
  };
  CHECK(rgb_of(whole.substr(0, tables) + "rubbish" + whole.substr(tables)) == rgb);
  CHECK(rgb_of(whole + "behind") == rgb);
  CHECK_FALSE(decode_image(whole.substr(0, whole.size() - 2)));
}

TEST_CASE("pictures beyond the limits are refused before they are decoded") {
  const std::string bytes = bytes_of("rgb.png");
  CHECK(decode_image(bytes, {.pixels = 41 * 29}));
  CHECK(decode_image(bytes, {.pixels = 41 * 29 - 1}).error().message ==
        "a picture of 41 x 29 pixels, more than the 1188 that are read");
  CHECK(decode_image(bytes, {.edge = 40}).error().message ==
        "a picture of 41 x 29 pixels; edges of up to 40 are read");
  CHECK(read_image(golden::path("pictures/rgb.png"), {.file_bytes = 10}).error().code == ExitCode::bad_data);
  CHECK(probe_image(golden::path("photos/jpeg_420.jpg"), {.edge = 40}).error().message ==
        "a picture of 41 x 29 pixels; edges of up to 40 are read");
}

TEST_CASE("a small file that would take much memory or time is refused, or takes neither") {
  // 300 texts of 8 MB each, packed.
  const std::string text = file("bomb.png");
  const std::size_t chunk = text.find("zTXt") - 4, end = text.find("IDAT") - 4;
  std::string bomb = text.substr(0, chunk);
  for (int i = 0; i < 300; ++i) bomb += text.substr(chunk, end - chunk);
  bomb += text.substr(end);
  const auto peak = cornstarch::test::peak_memory_of([&] { return decode_image(bomb).has_value(); });
  CHECK(peak < 32 << 20);

  std::string scans = file("photos/jpeg_progressive.jpg");
  const std::string last = scans.substr(scans.rfind("\xFF\xDA"), scans.size() - 2 - scans.rfind("\xFF\xDA"));
  for (int i = 0; i < 100; ++i) scans.insert(scans.size() - 2, last);
  CHECK(decode_image(scans).error().message == "a broken JPEG picture: more than 100 scans");

  std::string large = file("photos/jpeg_444.jpg");
  const std::size_t frame = large.find("\xFF\xC0");
  large[frame + 1] = static_cast<char>(0xC2);  // progressive
  large.replace(frame + 5, 4, "\x20\x00\x1F\x40", 4);
  const auto refused = decode_image(large);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message ==
        "a JPEG picture of several scans and 8000 x 8192 pixels, which takes 375 MiB to decode, more than "
        "256 MiB");
  CHECK(refused.error().help == "save it as baseline (not progressive) JPEG, or smaller");
}

TEST_CASE("no damage to a picture does worse than an error") {
  std::vector<std::string> names = {"pictures/palette_transparent.png", "pictures/interlaced.png",
                                    "pictures/grey16.png"};
  const auto photos = golden::json("photos.json");
  for (const auto& [name, one] : photos.items()) names.push_back("photos/" + name);
  for (const std::string& name : names) {
    CAPTURE(name);
    const std::string whole = file(name);
    const std::size_t step = whole.size() < 1000 ? 1 : 7;
    for (std::size_t at = 0; at < whole.size(); at += step) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
      const auto image = decode_image(damaged);
      if (image)
        CHECK(image->rgb.size() ==
              3 * static_cast<std::size_t>(image->width) * static_cast<std::size_t>(image->height));
      const bool needed = at < whole.size() / (name.find("animated") == std::string::npos ? 2 : 8);
      if (needed) CHECK_FALSE(decode_image(whole.substr(0, at)));
    }
  }
}
