#include <cstddef>
#include <cstdio>
// jpeglib.h wants the two above.
#include <jpeglib.h>

#include <algorithm>
#include <csetjmp>
#include <string>
#include <vector>

#include "cornstarch/base/text.h"
#include "image_header.h"

namespace cornstarch::dataio {
namespace {

constexpr int kMostScans = 100;                                      // a usual progressive picture has ten
constexpr std::int64_t kMostCoefficients = std::int64_t{256} << 20;  // bytes

/// libjpeg's decompressor with our callbacks. They must not throw (libjpeg is C), so an error jumps to
/// `jump`.
struct Decompressor {
  explicit Decompressor(std::string_view bytes) {
    cinfo.err = jpeg_std_error(&errors);
    cinfo.client_data = this;
    errors.error_exit = on_error;
    errors.emit_message = on_message;
    source.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
    source.bytes_in_buffer = bytes.size();
    source.init_source = [](j_decompress_ptr) {};
    source.fill_input_buffer = [](j_decompress_ptr) -> boolean { return FALSE; };  // there is no more
    source.skip_input_data = skip;
    source.resync_to_restart = jpeg_resync_to_restart;
    source.term_source = [](j_decompress_ptr) {};
    progress.progress_monitor = on_progress;
  }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
  ~Decompressor() { jpeg_destroy_decompress(&cinfo); }

  static Decompressor& of(j_common_ptr cinfo) { return *static_cast<Decompressor*>(cinfo->client_data); }

  [[noreturn]] static void on_error(j_common_ptr cinfo) {
    Decompressor& self = of(cinfo);
    char text[JMSG_LENGTH_MAX];
    cinfo->err->format_message(cinfo, text);
    self.problem = text;
    std::longjmp(self.jump, 1);
  }
  static void on_message(j_common_ptr, int) {}  // warnings pass, as in PIL

  /// Every scan passes over the whole picture, so that many of them in a small file would take for ever.
  static void on_progress(j_common_ptr cinfo) {
    Decompressor& self = of(cinfo);
    if (self.cinfo.input_scan_number <= kMostScans) return;
    self.problem = cat("more than ", kMostScans, " scans");
    std::longjmp(self.jump, 1);
  }

  static void skip(j_decompress_ptr cinfo, long n) {
    jpeg_source_mgr& source = *cinfo->src;
    const auto skipped = std::min(static_cast<std::size_t>(std::max(n, 0L)), source.bytes_in_buffer);
    source.next_input_byte += skipped;
    source.bytes_in_buffer -= skipped;
  }

  jpeg_decompress_struct cinfo{};
  jpeg_error_mgr errors{};
  jpeg_source_mgr source{};
  jpeg_progress_mgr progress{};
  std::string problem;
  std::jmp_buf jump;
};

// Between setjmp and a possible longjmp no object with a destructor may be made: each of these functions
// keeps its objects outside. False: `problem` says why, or is empty where the file ends early.

bool read_header(Decompressor& d) {
  if (setjmp(d.jump) != 0) return false;
  jpeg_create_decompress(&d.cinfo);
  d.cinfo.src = &d.source;
  d.cinfo.progress = &d.progress;
  return jpeg_read_header(&d.cinfo, TRUE) == JPEG_HEADER_OK;
}

bool start(Decompressor& d) {
  if (setjmp(d.jump) != 0) return false;
  d.cinfo.out_color_space = d.cinfo.num_components == 4 ? JCS_CMYK : JCS_RGB;
  return jpeg_start_decompress(&d.cinfo) != FALSE;
}

bool read_row(Decompressor& d, JSAMPROW row) {
  if (setjmp(d.jump) != 0) return false;
  return jpeg_read_scanlines(&d.cinfo, &row, 1) == 1;
}

/// a x b / 255, rounded, as PIL computes it.
int product(int a, int b) {
  const int sum = a * b + 128;
  return ((sum >> 8) + sum) >> 8;
}

/// Adobe's CMYK is stored inverted, and so, as PIL, we take all of it.
void rgb_of_cmyk(const std::vector<std::uint8_t>& row, std::uint8_t* rgb) {
  for (std::size_t i = 0; i + 3 < row.size(); i += 4) {
    const int light = row[i + 3];  // 255 - black
    for (std::size_t c = 0; c < 3; ++c)
      *rgb++ = static_cast<std::uint8_t>(std::clamp(light - product(255 - row[i + c], light), 0, 255));
  }
}

/// A picture of several scans is held whole as coefficients of two bytes before it becomes pixels.
std::int64_t bytes_of_coefficients(jpeg_decompress_struct& cinfo) {
  if (jpeg_has_multiple_scans(&cinfo) == FALSE) return 0;
  std::int64_t blocks = 0;
  for (int c = 0; c < cinfo.num_components; ++c)
    blocks += std::int64_t{cinfo.comp_info[c].width_in_blocks} * cinfo.comp_info[c].height_in_blocks;
  return blocks * DCTSIZE2 * static_cast<std::int64_t>(sizeof(JCOEF));
}

}  // namespace

Result<Image> decode_jpeg(std::string_view bytes, const ImageHeader& header) {
  Decompressor d(bytes);
  const auto refuse = [&] {
    return broken(ImageFormat::jpeg, d.problem.empty() ? "the file ends early" : d.problem);
  };
  if (!read_header(d)) return refuse();
  if (d.cinfo.image_width != header.width || d.cinfo.image_height != header.height)
    return broken(ImageFormat::jpeg, "it gives two sizes");
  const std::int64_t coefficients = bytes_of_coefficients(d.cinfo);
  if (coefficients > kMostCoefficients)
    return fail(ExitCode::bad_data,
                cat("a JPEG picture of several scans and ", header.width, " x ", header.height,
                    " pixels, which takes ", human_bytes(static_cast<double>(coefficients)),
                    " to decode, more than ", human_bytes(static_cast<double>(kMostCoefficients))),
                "save it as baseline (not progressive) JPEG, or smaller");
  if (!start(d)) return refuse();
  Image image = blank(header);
  const bool cmyk = d.cinfo.out_color_space == JCS_CMYK;
  std::vector<std::uint8_t> inks(cmyk ? 4 * static_cast<std::size_t>(header.width) : 0);
  for (int y = 0; y < image.height; ++y) {
    std::uint8_t* row = image.rgb.data() + 3 * static_cast<std::size_t>(header.width * y);
    if (!read_row(d, cmyk ? inks.data() : row)) return refuse();
    if (cmyk) rgb_of_cmyk(inks, row);
  }
  return image;
}

}  // namespace cornstarch::dataio
