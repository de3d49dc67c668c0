#include <gif_lib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "image_header.h"

namespace cornstarch::dataio {
namespace {

int read_bytes(GifFileType* gif, GifByteType* out, int size) {
  auto& rest = *static_cast<std::string_view*>(gif->UserData);
  const std::size_t n = std::min(static_cast<std::size_t>(std::max(size, 0)), rest.size());
  if (n > 0) std::memcpy(out, rest.data(), n);
  rest.remove_prefix(n);
  return static_cast<int>(n);
}

struct Gif {
  explicit Gif(std::string_view& rest) : file(DGifOpen(&rest, read_bytes, &error)) {}
  Gif(const Gif&) = delete;
  Gif& operator=(const Gif&) = delete;
  ~Gif() {
    if (file != nullptr) DGifCloseFile(file, nullptr);
  }
  std::string_view problem() const {
    const int code = file == nullptr ? error : file->Error;
    const bool early = code == D_GIF_ERR_EOF_TOO_SOON || code == D_GIF_ERR_READ_FAILED;
    const char* text = GifErrorString(code);
    return early || text == nullptr ? "the file ends early" : text;
  }
  int error = 0;
  GifFileType* file;
};

/// Up to the first frame. What was said of transparency before it counts for it.
bool find_frame(GifFileType* gif, std::optional<int>& transparent) {
  GifRecordType type;
  while (DGifGetRecordType(gif, &type) == GIF_OK) {
    if (type == IMAGE_DESC_RECORD_TYPE) return DGifGetImageDesc(gif) == GIF_OK;
    if (type != EXTENSION_RECORD_TYPE) return false;
    int code = 0;
    GifByteType* block = nullptr;
    if (DGifGetExtension(gif, &code, &block) == GIF_ERROR) return false;
    GraphicsControlBlock control;
    if (code == GRAPHICS_EXT_FUNC_CODE && block != nullptr &&
        DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK && control.TransparentColor >= 0)
      transparent = control.TransparentColor;
    while (block != nullptr) {
      if (DGifGetExtensionNext(gif, &block) == GIF_ERROR) return false;
    }
  }
  return false;
}

using Palette = std::array<std::array<std::uint8_t, 3>, 256>;

/// Without colours of its own a number is a grey.
Palette palette_of(const GifFileType& gif) {
  Palette palette{};
  const ColorMapObject* colors = gif.Image.ColorMap != nullptr ? gif.Image.ColorMap : gif.SColorMap;
  for (std::size_t i = 0; i < palette.size(); ++i) {
    if (colors == nullptr) {
      palette[i].fill(static_cast<std::uint8_t>(i));
    } else if (static_cast<int>(i) < colors->ColorCount) {
      palette[i] = {colors->Colors[i].Red, colors->Colors[i].Green, colors->Colors[i].Blue};
    }
  }
  return palette;
}

/// The rows of a frame in the order in which they are stored.
std::vector<int> order_of_rows(int height, bool interlaced) {
  std::vector<int> rows;
  rows.reserve(static_cast<std::size_t>(height));
  if (!interlaced) {
    for (int y = 0; y < height; ++y) rows.push_back(y);
    return rows;
  }
  constexpr int passes[4][2] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};
  for (const auto& [first, step] : passes) {
    for (int y = first; y < height; y += step) rows.push_back(y);
  }
  return rows;
}

}  // namespace

Result<Image> decode_gif(std::string_view bytes, const ImageHeader& header) {
  std::string_view rest = bytes;
  const Gif gif(rest);
  std::optional<int> transparent;
  if (gif.file == nullptr || !find_frame(gif.file, transparent))
    return broken(ImageFormat::gif, gif.problem());
  const GifImageDesc& frame = gif.file->Image;
  if (frame.Left + std::int64_t{frame.Width} > header.width ||
      frame.Top + std::int64_t{frame.Height} > header.height)
    return broken(ImageFormat::gif, "its first frame reaches beyond the picture");
  const Palette palette = palette_of(*gif.file);
  Image image = blank(header);
  const auto& ground = palette[static_cast<std::size_t>(transparent.value_or(0))];
  for (std::size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = ground[i % 3];
  std::vector<GifByteType> row(static_cast<std::size_t>(frame.Width));
  for (const int y : order_of_rows(frame.Height, frame.Interlace)) {
    if (DGifGetLine(gif.file, row.data(), frame.Width) == GIF_ERROR)
      return broken(ImageFormat::gif, gif.problem());
    auto to = image.rgb.begin() + 3 * ((frame.Top + std::int64_t{y}) * header.width + frame.Left);
    for (const GifByteType color : row) to = std::copy_n(palette[color].begin(), 3, to);
  }
  return image;
}

}  // namespace cornstarch::dataio
