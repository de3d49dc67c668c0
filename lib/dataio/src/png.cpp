#include <png.h>

#include <csetjmp>
#include <cstring>

#include "image_header.h"

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

bool read_header(Png& png, Reader& reader, const ImageHeader& header) {
  if (setjmp(reader.jump) != 0) return false;
  png_set_user_limits(png.png, static_cast<png_uint_32>(header.width),
                      static_cast<png_uint_32>(header.height));
  png_set_chunk_malloc_max(png.png, 8U << 20);
  // Texts, profiles and the like are skipped: nothing is unpacked that no pixel needs.
  png_set_keep_unknown_chunks(png.png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
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

}  // namespace

Result<Image> decode_png(std::string_view bytes, const ImageHeader& header) {
  Reader reader{bytes, {}, {}};
  Png png(reader);
  if (png.info == nullptr) return fail(ExitCode::device, "out of memory for libpng");
  if (!read_header(png, reader, header) || !prepare(png, reader))
    return broken(ImageFormat::png, reader.problem);

  const bool grey16 = png_get_channels(png.png, png.info) == 1;
  const auto width = static_cast<std::size_t>(header.width), height = static_cast<std::size_t>(header.height);
  const std::size_t row_bytes = width * (grey16 ? 2 : 3);
  if (png_get_rowbytes(png.png, png.info) != row_bytes || png_get_image_height(png.png, png.info) != height)
    return broken(ImageFormat::png, "it gives two sizes");
  std::vector<std::uint8_t> pixels(row_bytes * height);
  std::vector<png_bytep> rows;
  rows.reserve(height);
  for (std::size_t y = 0; y < height; ++y) rows.push_back(pixels.data() + row_bytes * y);
  if (!read_rows(png, reader, rows.data())) return broken(ImageFormat::png, reader.problem);
  return Image{static_cast<int>(width), static_cast<int>(height),
               grey16 ? rgb_of_grey16(pixels) : std::move(pixels)};
}

}  // namespace cornstarch::dataio
