#include <bit>
#include <optional>

#include "cornstarch/base/text.h"
#include "image_header.h"

// No library for so little: a header, a palette, rows.

namespace cornstarch::dataio {
namespace {

/// The bits of a pixel that are one colour.
struct Channel {
  std::uint32_t mask = 0;
  std::uint8_t of(std::uint32_t pixel) const {
    if (mask == 0) return 0;
    const int shift = std::countr_zero(mask);
    const std::uint64_t most = mask >> shift;
    return static_cast<std::uint8_t>(((pixel & mask) >> shift) * std::uint64_t{255} / most);
  }
};

struct Layout {
  std::uint32_t bits = 0;  ///< per pixel
  std::uint32_t compression = 0;
  bool top_down = false;
  std::size_t pixels = 0;              ///< where they begin
  std::size_t palette = 0, entry = 0;  ///< where it begins, and bytes of a colour
  std::size_t colors = 0;
  Channel red, green, blue;  ///< of 16 and 32 bits
};

constexpr std::uint32_t kPlain = 0, kMasks = 3;

Layout layout_of(std::string_view file) {
  Layout l;
  const std::uint32_t head = little_endian(file, 14, 4);
  const bool old = head == 12;
  l.pixels = little_endian(file, 10, 4);
  l.bits = little_endian(file, old ? 24 : 28, 2);
  l.compression = old ? kPlain : little_endian(file, 30, 4);
  l.top_down = !old && little_endian(file, 25, 1) >= 0x80;
  l.entry = old ? 3 : 4;
  // Masks stand in the longer headers, or behind the shortest.
  const bool masks_behind = head == 40 && l.compression == kMasks;
  l.palette = 14 + std::size_t{head} + (masks_behind ? 12 : 0);
  const std::uint32_t said = old ? 0 : little_endian(file, 46, 4);
  l.colors = l.bits > 8 ? 0 : said != 0 && said <= 256 ? said : std::size_t{1} << l.bits;
  if (l.compression == kMasks) {
    l.red.mask = little_endian(file, 54, 4);
    l.green.mask = little_endian(file, 58, 4);
    l.blue.mask = little_endian(file, 62, 4);
  } else if (l.bits == 16) {
    l.red.mask = 0x7C00, l.green.mask = 0x03E0, l.blue.mask = 0x001F;
  } else {
    l.red.mask = 0xFF0000, l.green.mask = 0x00FF00, l.blue.mask = 0x0000FF;
  }
  return l;
}

/// "" or why it is not read.
std::string problem_of(const Layout& l) {
  if (l.bits != 1 && l.bits != 4 && l.bits != 8 && l.bits != 16 && l.bits != 24 && l.bits != 32)
    return cat("of ", l.bits, " bits a pixel");
  const bool masked = l.compression == kMasks && (l.bits == 16 || l.bits == 32);
  if (l.compression != kPlain && !masked) return "that is compressed";
  return {};
}

void write_row(std::string_view row, std::string_view palette, const Layout& l, std::size_t width,
               std::uint8_t* rgb) {
  for (std::size_t x = 0; x < width; ++x, rgb += 3) {
    if (l.bits <= 8) {
      const std::size_t bit = x * l.bits;
      const std::uint32_t byte = little_endian(row, bit / 8, 1);
      const std::size_t color = byte >> (8 - l.bits - bit % 8) & ((1U << l.bits) - 1);
      for (std::size_t c = 0; c < 3; ++c)  // blue first
        rgb[c] = static_cast<std::uint8_t>(little_endian(palette, color * l.entry + 2 - c, 1));
    } else {
      const std::uint32_t pixel = little_endian(row, x * l.bits / 8, l.bits / 8);
      rgb[0] = l.red.of(pixel), rgb[1] = l.green.of(pixel), rgb[2] = l.blue.of(pixel);
    }
  }
}

}  // namespace

Result<Image> decode_bmp(std::string_view bytes, const ImageHeader& header) {
  const Layout l = layout_of(bytes);
  const std::string problem = problem_of(l);
  if (!problem.empty())
    return fail(
        ExitCode::bad_data, cat("a BMP picture ", problem, ", which is not read"),
        "JPEG, PNG, WebP, GIF and uncompressed BMP pictures are read; convert it, as with ImageMagick: "
        "convert IN OUT.png");
  const auto width = static_cast<std::size_t>(header.width), height = static_cast<std::size_t>(header.height);
  const std::size_t row_bytes = (width * l.bits + 31) / 32 * 4;
  const std::size_t last_row = (width * l.bits + 7) / 8;  // its padding may be missing
  if (bytes.size() < l.pixels || bytes.size() - l.pixels < row_bytes * (height - 1) + last_row)
    return broken(ImageFormat::bmp, "the file ends early");
  const std::string_view palette =
      l.palette < bytes.size() ? bytes.substr(l.palette, l.colors * l.entry) : std::string_view{};
  Image image = blank(header);
  for (std::size_t y = 0; y < height; ++y) {
    const std::size_t stored = l.top_down ? y : height - 1 - y;
    write_row(bytes.substr(l.pixels + row_bytes * stored, row_bytes), palette, l, width,
              image.rgb.data() + 3 * width * y);
  }
  return image;
}

}  // namespace cornstarch::dataio
