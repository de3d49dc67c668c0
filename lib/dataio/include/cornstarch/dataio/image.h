#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cornstarch/base/result.h"

/// Pictures as `transformers.image_utils.load_image` gives them: PIL's pixels, turned upright as EXIF says
/// (PIL's `open` alone does not turn them), as RGB. Formats are told by content, never by name.
namespace cornstarch::dataio {

class ByteSource;

enum class ImageFormat { jpeg, png, webp, gif, bmp };

/// "JPEG".
std::string_view name_of(ImageFormat format);

/// Rows of R, G, B bytes, top left first.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;
};

/// What a picture may have at most, checked against its header before any memory is taken for it.
struct ImageLimits {
  std::int64_t file_bytes = std::int64_t{1} << 28;
  std::int64_t edge = 32768;
  std::int64_t pixels = std::int64_t{1} << 26;
};

/// What a header says.
struct ImageInfo {
  ImageFormat format = ImageFormat::jpeg;
  int width = 0;  ///< of the upright picture
  int height = 0;
};

/// Reads the header alone: a few reads of 4 KiB, whatever the file's size (in a PNG, whose EXIF may stand
/// behind the pixels, one for each chunk). What is wrong behind the header is not seen. The same limits hold.
Result<ImageInfo> probe_image(const std::filesystem::path& path, const ImageLimits& limits = {});
Result<ImageInfo> probe_image(ByteSource& bytes, const ImageLimits& limits = {});

/// Every byte is PIL's (golden data of release 12.1; 11.3 to 13.0 give the same):
///   JPEG  baseline and progressive, grey, RGB, YCbCr, CMYK and YCCK (inverted as Adobe's), 8 bits
///   PNG   of any kind: grey repeated, palettes looked up, the high byte of 16-bit colours, 16-bit grey
///   clipped WebP  lossy and lossless, the first frame of an animation GIF   the first frame; what it leaves
///   uncovered has the transparent colour, or the palette's first BMP   1 to 32 bits a pixel, not compressed
/// Alpha is dropped, not blended. Colour profiles and gamma are not applied. A file that ends early is an
/// error; what a decoder only warns of (as libjpeg of damage between two markers) passes, as it does in PIL.
/// Messages name no file, the caller knows it.
Result<Image> decode_image(std::string_view bytes, const ImageLimits& limits = {});
Result<Image> read_image(const std::filesystem::path& path, const ImageLimits& limits = {});
Result<Image> read_image(ByteSource& bytes, const ImageLimits& limits = {});

/// A PNG file of it.
Result<std::string> encode_png(const Image& image);

enum class Filter { bilinear = 2, bicubic = 3 };  ///< the numbers are PIL's

/// Two passes of 8-bit fixed-point arithmetic, across first, antialiased: PIL's Image.resize, byte for byte
/// in releases 11.3 to 12.1 and, but for rare pictures (1 of 400 tried), in 12.2 and 12.3. PIL 13 goes down
/// first for some shapes, which changes a quarter to a third of the pictures, a noisy one by up to 26 of 255
/// levels.
Image resize(const Image& image, int width, int height, Filter filter);

/// The middle, as Hugging Face cuts it: padded with black where the image is smaller than what is asked for.
Image center_crop(const Image& image, int width, int height);

}  // namespace cornstarch::dataio
