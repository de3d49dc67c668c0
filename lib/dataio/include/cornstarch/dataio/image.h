#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch::dataio {

/// Rows of R, G, B bytes, top left first.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;
};

/// What a picture may have at most, checked before its pixels are decoded.
struct ImageLimits {
  std::int64_t file_bytes = std::int64_t{1} << 28;
  std::int64_t edge = 32768;
  std::int64_t pixels = std::int64_t{1} << 26;
};

/// A PNG of any kind as RGB, as PIL's convert("RGB") gives it: grey repeated, palettes looked up, alpha
/// dropped (not blended), the high byte of 16-bit colours, 16-bit grey clipped to 255. Messages name no file;
/// the caller knows it.
Result<Image> decode_png(std::string_view bytes, const ImageLimits& limits = {});
Result<Image> read_image(const std::filesystem::path& path, const ImageLimits& limits = {});

enum class Filter { bilinear = 2, bicubic = 3 };  ///< the numbers are PIL's

/// Bit for bit what PIL's Image.resize gives up to release 12 (two passes of 8-bit fixed-point arithmetic,
/// across first, antialiased). PIL 13 goes down first for some shapes, which changes single bytes by one.
Image resize(const Image& image, int width, int height, Filter filter);

/// The middle, as Hugging Face cuts it: padded with black where the image is smaller than what is asked for.
Image center_crop(const Image& image, int width, int height);

}  // namespace cornstarch::dataio
