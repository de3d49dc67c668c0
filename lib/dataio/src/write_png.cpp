#include <png.h>

#include "cornstarch/base/text.h"
#include "cornstarch/dataio/image.h"

namespace cornstarch::dataio {

Result<std::string> encode_png(const Image& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  std::string out;
  for (const bool measures : {true, false}) {
    const int done = png_image_write_to_memory(&png, measures ? nullptr : out.data(), &size, 0,
                                               image.rgb.data(), 0, nullptr);
    if (done == 0) return fail(ExitCode::internal, cat("a picture cannot be written as PNG: ", png.message));
    out.resize(size);
  }
  return out;
}

}  // namespace cornstarch::dataio
