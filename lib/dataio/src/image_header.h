#pragma once

#include <string_view>

#include "byte_source.h"
#include "cornstarch/dataio/image.h"

namespace cornstarch::dataio {

/// A picture as it is stored: not yet turned upright.
struct ImageHeader {
  ImageFormat format = ImageFormat::jpeg;
  std::int64_t width = 0;
  std::int64_t height = 0;
  int orientation = 0;  ///< EXIF's, 0: none is given
};

/// Checked against the limits.
Result<ImageHeader> read_image_header(ByteSource& bytes, const ImageLimits& limits);

/// "a broken JPEG picture: <why>", and what helps.
tl::unexpected<Error> broken(ImageFormat format, std::string_view why);

// Each decodes what read_image_header found to be of its format, and trusts the bytes no more for that.
Result<Image> decode_jpeg(std::string_view bytes, const ImageHeader& header);
Result<Image> decode_png(std::string_view bytes, const ImageHeader& header);
Result<Image> decode_webp(std::string_view bytes, const ImageHeader& header);
Result<Image> decode_gif(std::string_view bytes, const ImageHeader& header);
Result<Image> decode_bmp(std::string_view bytes, const ImageHeader& header);

/// A black picture of the header's size.
Image blank(const ImageHeader& header);

}  // namespace cornstarch::dataio
