#include <webp/decode.h>

#include "image_header.h"

namespace cornstarch::dataio {
namespace {

std::string_view words_of(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      return "the file ends early";
    case VP8_STATUS_OUT_OF_MEMORY:
      return "out of memory";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "it uses what libwebp does not know";
    default:
      return "its bits make no sense";
  }
}

/// Where the picture lies in the file, and where its pixels go.
struct Frame {
  std::string_view bytes;
  std::int64_t x = 0, y = 0;
};

/// The first frame of an animation. What is no animation is a frame as it is.
Frame first_frame(std::string_view file) {
  if (!stands_at(file, 12, "VP8X")) return {file};
  std::size_t at = 12;
  while (at + 8 <= file.size()) {
    const std::string_view body = file.substr(at + 8, little_endian(file, at + 4, 4));
    if (stands_at(file, at, "ANMF") && body.size() > 16)
      return {body.substr(16), 2 * std::int64_t{little_endian(body, 0, 3)},
              2 * std::int64_t{little_endian(body, 3, 3)}};
    at += 8 + std::size_t{little_endian(file, at + 4, 4)} + little_endian(file, at + 4, 1) % 2;
  }
  return {file};
}

}  // namespace

Result<Image> decode_webp(std::string_view bytes, const ImageHeader& header) {
  const Frame frame = first_frame(bytes);
  const auto* data = reinterpret_cast<const std::uint8_t*>(frame.bytes.data());
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0) return fail(ExitCode::internal, "libwebp of another version");
  VP8StatusCode status = WebPGetFeatures(data, frame.bytes.size(), &config.input);
  if (status != VP8_STATUS_OK) return broken(ImageFormat::webp, words_of(status));
  if (frame.x + config.input.width > header.width || frame.y + config.input.height > header.height)
    return broken(ImageFormat::webp, "its first frame reaches beyond the picture");
  Image image = blank(header);
  const std::int64_t offset = 3 * (frame.y * header.width + frame.x);
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = image.rgb.data() + offset;
  config.output.u.RGBA.stride = static_cast<int>(3 * header.width);
  config.output.u.RGBA.size = image.rgb.size() - static_cast<std::size_t>(offset);
  status = WebPDecode(data, frame.bytes.size(), &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) return broken(ImageFormat::webp, words_of(status));
  return image;
}

}  // namespace cornstarch::dataio
