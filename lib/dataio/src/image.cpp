#include "cornstarch/dataio/image.h"

#include "cornstarch/base/text.h"
#include "exif.h"
#include "image_header.h"

namespace cornstarch::dataio {
namespace {

Result<Image> decode(std::string_view bytes, const ImageHeader& header) {
  switch (header.format) {
    case ImageFormat::jpeg:
      return decode_jpeg(bytes, header);
    case ImageFormat::png:
      return decode_png(bytes, header);
    case ImageFormat::webp:
      return decode_webp(bytes, header);
    case ImageFormat::gif:
      return decode_gif(bytes, header);
    case ImageFormat::bmp:
      return decode_bmp(bytes, header);
  }
  return fail(ExitCode::internal, "a picture of no format");
}

}  // namespace

Result<ImageInfo> probe_image(const std::filesystem::path& path, const ImageLimits& limits) {
  auto bytes = ByteSource::open(path);
  if (!bytes) return tl::unexpected(bytes.error());
  return probe_image(*bytes, limits);
}

Result<ImageInfo> probe_image(ByteSource& bytes, const ImageLimits& limits) {
  const auto header = read_image_header(bytes, limits);
  if (auto trouble = bytes.trouble()) return tl::unexpected(std::move(*trouble));
  if (!header) return tl::unexpected(header.error());
  const bool turned = header->orientation >= 5;
  return ImageInfo{header->format, static_cast<int>(turned ? header->height : header->width),
                   static_cast<int>(turned ? header->width : header->height)};
}

Result<Image> decode_image(std::string_view bytes, const ImageLimits& limits) {
  ByteSource source(bytes);
  const auto header = read_image_header(source, limits);
  if (!header) return tl::unexpected(header.error());
  auto image = decode(bytes, *header);
  if (!image) return image;
  return upright(std::move(*image), header->orientation);
}

Result<Image> read_image(const std::filesystem::path& path, const ImageLimits& limits) {
  auto bytes = read_file(path, static_cast<std::size_t>(limits.file_bytes));
  if (!bytes) return tl::unexpected(bytes.error());
  return decode_image(*bytes, limits);
}

Result<Image> read_image(ByteSource& bytes, const ImageLimits& limits) {
  if (bytes.size() > limits.file_bytes)
    return fail(ExitCode::bad_data,
                cat("a picture of ", human_bytes(static_cast<double>(bytes.size())), ", more than the ",
                    human_bytes(static_cast<double>(limits.file_bytes)), " that are read"));
  const std::string_view all = bytes.read(0, static_cast<std::size_t>(bytes.size()));
  if (auto trouble = bytes.trouble()) return tl::unexpected(std::move(*trouble));
  return decode_image(all, limits);
}

}  // namespace cornstarch::dataio
