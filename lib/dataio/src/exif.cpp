#include "exif.h"

#include <algorithm>
#include <utility>

#include "byte_source.h"

namespace cornstarch::dataio {
namespace {

constexpr std::uint32_t kOrientation = 0x0112;
constexpr std::uint32_t kShort = 3, kLong = 4;

int checked(std::uint32_t orientation) {
  return orientation >= 1 && orientation <= 8 ? static_cast<int>(orientation) : 0;
}

}  // namespace

int exif_orientation(std::string_view exif) {
  using namespace std::string_view_literals;
  if (exif.starts_with("Exif\0\0"sv)) exif.remove_prefix(6);
  const bool little = exif.starts_with("II*\0"sv);
  if (!little && !exif.starts_with("MM\0*"sv)) return 0;
  const auto number = [&](std::size_t at, std::size_t n) {
    return little ? little_endian(exif, at, n) : big_endian(exif, at, n);
  };
  const std::size_t directory = number(4, 4);
  if (directory + 2 > exif.size()) return 0;
  const std::size_t entries = number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + 12 * i;
    if (entry + 12 > exif.size()) return 0;
    if (number(entry, 2) != kOrientation) continue;
    const std::uint32_t type = number(entry + 2, 2);
    if (number(entry + 4, 4) != 1 || (type != kShort && type != kLong)) return 0;
    return checked(number(entry + 8, type == kShort ? 2 : 4));
  }
  return 0;
}

int xmp_orientation(std::string_view xmp) {
  constexpr std::string_view name = "tiff:Orientation";
  for (std::size_t at = xmp.find(name); at != std::string_view::npos; at = xmp.find(name, at + 1)) {
    const std::string_view rest = xmp.substr(at + name.size());
    const std::size_t skipped = rest.starts_with("=\"") ? 2 : rest.starts_with(">") ? 1 : rest.size();
    if (skipped < rest.size() && rest[skipped] >= '0' && rest[skipped] <= '9')
      return checked(static_cast<std::uint32_t>(rest[skipped] - '0'));
  }
  return 0;
}

Image upright(Image image, int orientation) {
  if (orientation < 2 || orientation > 8) return image;
  const bool swapped = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image out{swapped ? image.height : image.width, swapped ? image.width : image.height, {}};
  out.rgb.resize(image.rgb.size());
  const std::uint8_t* const in = image.rgb.data();
  std::uint8_t* to = out.rgb.data();
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x, to += 3) {
      const int across = swapped ? y : x, down = swapped ? x : y;
      const std::int64_t u = from_right ? image.width - 1 - across : across;
      const std::int64_t v = from_bottom ? image.height - 1 - down : down;
      std::copy_n(in + 3 * (v * image.width + u), 3, to);
    }
  }
  return out;
}

}  // namespace cornstarch::dataio
