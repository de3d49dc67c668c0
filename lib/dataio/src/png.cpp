#include <png.h>

#include <csetjmp>
#include <cstring>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/dataio/image.h"

namespace cornstarch::dataio {
namespace {

/// What libpng's callbacks see. The callbacks must not throw (libpng is C), so an error jumps to `jump`.
struct Reader {
  std::string_view rest;
  std::string problem;
  std::jmp_buf jump;
};

void read_bytes(png_structp png, png_bytep out, std::size_t size) {
  auto& reader = *static_cast<Reader*>(png_get_io_ptr(png));
  if (reader.rest.size() < size) png_error(png, "the file ends early");
  std::memcpy(out, reader.rest.data(), size);
  reader.rest.remove_prefix(size);
}

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto& reader = *static_cast<Reader*>(png_get_error_ptr(png));
  reader.problem = message;
  std::longjmp(reader.jump, 1);
}

void on_warning(png_structp, png_const_charp) {}

/// Owns libpng's structures.
struct Png {
  explicit Png(Reader& reader)
      : png(png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning)),
        info(png == nullptr ? nullptr : png_create_info_struct(png)) {
    if (png != nullptr) png_set_read_fn(png, &reader, read_bytes);
  }
  Png(const Png&) = delete;
  Png& operator=(const Png&) = delete;
  ~Png() { png_destroy_read_struct(&png, &info, nullptr); }
  png_structp png;
  png_infop info;
};

// Between setjmp and a possible longjmp no object with a destructor may be made: each of these three
// functions keeps its objects outside.

bool read_header(Png& png, Reader& reader, const ImageLimits& limits) {
  if (setjmp(reader.jump) != 0) return false;
  const auto edge = static_cast<png_uint_32>(limits.edge);
  png_set_user_limits(png.png, edge, edge);
  png_set_chunk_malloc_max(png.png, 8U << 20);
  png_read_info(png.png, png.info);
  return true;
}

bool prepare(Png& png, Reader& reader) {
  if (setjmp(reader.jump) != 0) return false;
  const int depth = png_get_bit_depth(png.png, png.info);
  const int type = png_get_color_type(png.png, png.info);
  if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png.png);
  if (type == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(png.png);
  if (depth == 16 && type != PNG_COLOR_TYPE_GRAY) png_set_strip_16(png.png);
  if (type == PNG_COLOR_TYPE_GRAY_ALPHA) png_set_gray_to_rgb(png.png);
  if (type == PNG_COLOR_TYPE_GRAY && depth <= 8) png_set_gray_to_rgb(png.png);
  png_set_strip_alpha(png.png);
  png_set_interlace_handling(png.png);
  png_read_update_info(png.png, png.info);
  return true;
}

bool read_rows(Png& png, Reader& reader, png_bytepp rows) {
  if (setjmp(reader.jump) != 0) return false;
  png_read_image(png.png, rows);
  return true;
}

/// 16-bit grey, big-endian, as PIL makes RGB of it: clipped at 255, not scaled.
std::vector<std::uint8_t> rgb_of_grey16(const std::vector<std::uint8_t>& bytes) {
  std::vector<std::uint8_t> rgb(bytes.size() / 2 * 3);
  for (std::size_t i = 0; i < bytes.size() / 2; ++i) {
    const std::uint8_t value = bytes[2 * i] > 0 ? 255 : bytes[2 * i + 1];
    for (std::size_t c = 0; c < 3; ++c) rgb[3 * i + c] = value;
  }
  return rgb;
}

Result<void> check_size(std::int64_t width, std::int64_t height, const ImageLimits& limits) {
  if (width * height <= limits.pixels) return {};
  return fail(ExitCode::bad_data, cat("a picture of ", width, " x ", height, " pixels, more than the ",
                                      limits.pixels, " that are read"));
}

}  // namespace

Result<Image> decode_png(std::string_view bytes, const ImageLimits& limits) {
  if (!bytes.starts_with("\x89PNG\r\n\x1a\n"))
    return fail(ExitCode::bad_data, "not a PNG picture", "pictures are read from PNG files");
  Reader reader{bytes, {}, {}};
  Png png(reader);
  if (png.info == nullptr) return fail(ExitCode::device, "out of memory for libpng");
  const auto broken = [&] { return fail(ExitCode::bad_data, cat("a broken PNG picture: ", reader.problem)); };
  if (!read_header(png, reader, limits)) return broken();

  Image image;
  image.width = static_cast<int>(png_get_image_width(png.png, png.info));
  image.height = static_cast<int>(png_get_image_height(png.png, png.info));
  auto fits = check_size(image.width, image.height, limits);
  if (!fits) return tl::unexpected(fits.error());
  if (!prepare(png, reader)) return broken();

  const bool grey16 = png_get_channels(png.png, png.info) == 1;
  const std::size_t row_bytes = static_cast<std::size_t>(image.width) * (grey16 ? 2 : 3);
  if (png_get_rowbytes(png.png, png.info) != row_bytes)
    return fail(ExitCode::internal, "libpng gave rows of another size than asked for");
  std::vector<std::uint8_t> pixels(row_bytes * static_cast<std::size_t>(image.height));
  std::vector<png_bytep> rows;
  rows.reserve(static_cast<std::size_t>(image.height));
  for (int y = 0; y < image.height; ++y)
    rows.push_back(pixels.data() + row_bytes * static_cast<std::size_t>(y));
  if (!read_rows(png, reader, rows.data())) return broken();
  image.rgb = grey16 ? rgb_of_grey16(pixels) : std::move(pixels);
  return image;
}

Result<Image> read_image(const std::filesystem::path& path, const ImageLimits& limits) {
  auto bytes = read_file(path, static_cast<std::size_t>(limits.file_bytes));
  if (!bytes) return tl::unexpected(bytes.error());
  return decode_png(*bytes, limits);
}

}  // namespace cornstarch::dataio
