#include <algorithm>
#include <cmath>

#include "preparer.h"

namespace cornstarch::dataio {
namespace {

std::uint8_t byte_of(double value) {
  return static_cast<std::uint8_t>(std::lround(std::clamp(value, 0.0, 255.0)));
}

/// The colour's byte that has become `value`.
std::uint8_t byte_of(float value, std::size_t colour, const PixelValues& v) {
  double whole = value;
  if (v.do_normalize) whole = whole * v.image_std[colour] + v.image_mean[colour];
  return byte_of(v.do_rescale ? whole / v.rescale_factor : whole);
}

Image blank(std::int64_t width, std::int64_t height) {
  Image image{static_cast<int>(width), static_cast<int>(height), {}};
  image.rgb.resize(static_cast<std::size_t>(3 * width * height));
  return image;
}

/// [3, H, W].
Image picture(const ImagePreprocessor& p, const MediaItem& item, const catalog::Extents&) {
  Image image = blank(item.shape[2], item.shape[1]);
  const std::size_t pixels = image.rgb.size() / 3;
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t i = 0; i < pixels; ++i)
      image.rgb[3 * i + c] = byte_of(item.values[c * pixels + i], c, p);
  return image;
}

/// [patches, values of each], square by square; of each patch the first of its times.
Image picture(const PatchPreprocessor& p, const MediaItem& item, const catalog::Extents& grid) {
  const std::int64_t edge = p.patch_size, merge = p.merge_size;
  Image image = blank(grid.w * edge, grid.h * edge);
  const std::int64_t of_colour = p.temporal_patch_size * edge * edge;
  for (std::int64_t patch = 0; patch < item.shape[0]; ++patch) {
    const std::int64_t square = patch / (merge * merge), inside = patch % (merge * merge);
    const std::int64_t top = (square / (grid.w / merge) * merge + inside / merge) * edge;
    const std::int64_t left = (square % (grid.w / merge) * merge + inside % merge) * edge;
    for (std::int64_t c = 0; c < 3; ++c)
      for (std::int64_t i = 0; i < edge * edge; ++i) {
        const std::int64_t at = (top + i / edge) * image.width + left + i % edge;
        const auto value = static_cast<std::size_t>(patch * item.shape[1] + c * of_colour + i);
        image.rgb[static_cast<std::size_t>(3 * at + c)] =
            byte_of(item.values[value], static_cast<std::size_t>(c), p);
      }
  }
  return image;
}

/// [mels, frames]: from the quietest to the loudest of the recording.
Image picture(const LogMel&, const MediaItem& item, const catalog::Extents&) {
  Image image = blank(item.shape[1], item.shape[0]);
  const auto [low, high] = std::ranges::minmax(item.values);
  const double range = std::max<double>(high - low, 1e-6);
  for (std::int64_t mel = 0; mel < item.shape[0]; ++mel)
    for (std::int64_t frame = 0; frame < item.shape[1]; ++frame) {
      const float value = item.values[static_cast<std::size_t>(mel * item.shape[1] + frame)];
      const auto at = static_cast<std::size_t>(3 * ((item.shape[0] - 1 - mel) * item.shape[1] + frame));
      std::fill_n(image.rgb.begin() + static_cast<std::ptrdiff_t>(at), 3,
                  byte_of(255 * (value - low) / range));
    }
  return image;
}

}  // namespace

Image Preparer::picture_of(const MediaItem& item, const catalog::Extents& extents) const {
  return std::visit([&](const auto& processor) { return picture(processor, item, extents); }, processor_);
}

}  // namespace cornstarch::dataio
