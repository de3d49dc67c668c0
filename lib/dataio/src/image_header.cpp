#include "image_header.h"

#include <webp/decode.h>

#include <algorithm>

#include "cornstarch/base/text.h"
#include "exif.h"
#include "file_kind.h"

namespace cornstarch::dataio {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kEarly = "the file ends early";
constexpr std::string_view kXmpOfJpeg = "http://ns.adobe.com/xap/1.0/\0"sv;
constexpr std::string_view kXmpOfPng = "XML:com.adobe.xmp\0\0"sv;  // the last zero: not compressed
constexpr std::size_t kMostMetadata = 1 << 20;

/// EXIF's word counts before XMP's, and of each the first.
struct Orientations {
  int exif = 0, xmp = 0;
  void take_exif(std::string_view bytes) {
    if (exif == 0) exif = exif_orientation(bytes);
  }
  void take_xmp(std::string_view bytes) {
    if (xmp == 0) xmp = xmp_orientation(bytes);
  }
  int orientation() const { return exif != 0 ? exif : xmp; }
};

// The readers below give nullptr, or what is wrong.

const char* read_jpeg(ByteSource& bytes, ImageHeader& header) {
  Orientations found;
  for (std::int64_t at = 2;;) {
    while (bytes.byte(at) >= 0 && bytes.byte(at) != 0xFF) ++at;  // rubbish between markers, as libjpeg has it
    while (bytes.byte(at) == 0xFF) ++at;
    const int marker = bytes.byte(at++);
    if (marker < 0) return kEarly.data();
    const bool bare = marker <= 1 || (marker >= 0xD0 && marker <= 0xD8);
    if (bare) continue;
    if (marker == 0xD9 || marker == 0xDA) return "its size is not given before its pixels";
    const std::string_view start = bytes.read(at, 8);
    const std::uint32_t length = big_endian(start, 0, 2);
    if (start.size() < 2) return kEarly.data();
    const bool frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (frame) {
      if (start.size() < 8) return kEarly.data();
      header.height = big_endian(start, 3, 2);
      header.width = big_endian(start, 5, 2);
      header.orientation = found.orientation();
      return nullptr;
    }
    if (marker == 0xE1 && length > 2) {
      const std::string_view body = bytes.read(at + 2, length - 2);
      if (body.starts_with("Exif\0\0"sv)) found.take_exif(body);
      if (body.starts_with(kXmpOfJpeg)) found.take_xmp(body);
    }
    at += std::max<std::uint32_t>(length, 2);
  }
}

const char* read_png(ByteSource& bytes, ImageHeader& header) {
  const std::string_view first = bytes.read(8, 16);
  if (first.size() < 16) return kEarly.data();
  if (!stands_at(first, 4, "IHDR")) return "it does not begin with its size";
  header.width = big_endian(first, 8, 4);
  header.height = big_endian(first, 12, 4);
  Orientations found;
  std::int64_t at = 8;
  while (true) {
    const std::string_view start = bytes.read(at, 8);
    if (start.size() < 8) break;  // the decoder will say it
    const std::uint32_t length = big_endian(start, 0, 4);
    const std::string type(start.substr(4, 4));
    if (type == "IEND") break;
    const std::size_t metadata = std::min<std::size_t>(length, kMostMetadata);
    if (type == "eXIf") found.take_exif(bytes.read(at + 8, metadata));
    if (type == "iTXt") {
      const std::string_view text = bytes.read(at + 8, metadata);
      if (text.starts_with(kXmpOfPng)) found.take_xmp(text);
    }
    at += std::int64_t{12} + length;
  }
  header.orientation = found.orientation();
  return nullptr;
}

const char* read_webp(ByteSource& bytes, ImageHeader& header) {
  const std::string_view start = bytes.read(0, 64);
  WebPBitstreamFeatures features;
  const VP8StatusCode status =
      WebPGetFeatures(reinterpret_cast<const std::uint8_t*>(start.data()), start.size(), &features);
  if (status == VP8_STATUS_NOT_ENOUGH_DATA) return kEarly.data();
  if (status != VP8_STATUS_OK) return "its header makes no sense";
  header.width = features.width;
  header.height = features.height;
  if (!stands_at(start, 12, "VP8X")) return nullptr;
  const std::uint32_t flags = little_endian(start, 20, 1);
  constexpr std::uint32_t kXmpFlag = 4, kExifFlag = 8;
  if ((flags & (kXmpFlag | kExifFlag)) == 0) return nullptr;
  Orientations found;
  std::int64_t at = 12;
  while (true) {
    const std::string_view chunk = bytes.read(at, 8);
    if (chunk.size() < 8) break;
    const std::string type(chunk.substr(0, 4));
    const std::uint32_t length = little_endian(chunk, 4, 4);
    const std::size_t metadata = std::min<std::size_t>(length, kMostMetadata);
    if (type == "EXIF") found.take_exif(bytes.read(at + 8, metadata));
    if (type == "XMP ") found.take_xmp(bytes.read(at + 8, metadata));
    at += std::int64_t{8} + length + length % 2;
  }
  header.orientation = found.orientation();
  return nullptr;
}

/// The screen's size, as far as the first frame does not reach beyond it.
const char* read_gif(ByteSource& bytes, ImageHeader& header) {
  const std::string_view screen = bytes.read(0, 13);
  if (screen.size() < 13) return kEarly.data();
  header.width = little_endian(screen, 6, 2);
  header.height = little_endian(screen, 8, 2);
  const std::uint32_t flags = little_endian(screen, 10, 1);
  std::int64_t at = 13;
  if ((flags & 0x80) != 0) at += 3 << ((flags & 7) + 1);
  while (bytes.byte(at) == '!') {  // an extension: blocks up to an empty one
    at += 2;
    while (bytes.byte(at) > 0) at += 1 + bytes.byte(at);
    ++at;
  }
  const std::string_view frame = bytes.read(at, 9);
  if (frame.size() < 9) return kEarly.data();
  if (frame[0] != ',') return "it has no frame";
  header.width =
      std::max<std::int64_t>(header.width, little_endian(frame, 1, 2) + little_endian(frame, 5, 2));
  header.height =
      std::max<std::int64_t>(header.height, little_endian(frame, 3, 2) + little_endian(frame, 7, 2));
  return nullptr;
}

const char* read_bmp(ByteSource& bytes, ImageHeader& header) {
  const std::string_view start = bytes.read(0, 26);
  if (start.size() < 26) return kEarly.data();
  if (little_endian(start, 14, 4) == 12) {
    header.width = little_endian(start, 18, 2);
    header.height = little_endian(start, 20, 2);
  } else {
    header.width = static_cast<std::int32_t>(little_endian(start, 18, 4));
    // Negative where the top row comes first.
    header.height = std::abs(std::int64_t{static_cast<std::int32_t>(little_endian(start, 22, 4))});
  }
  return nullptr;
}

bool is_bmp(std::string_view start) {
  constexpr std::uint32_t sizes[] = {12, 40, 52, 56, 64, 108, 124};  // of its header, in its versions
  return start.starts_with("BM") &&
         std::find(std::begin(sizes), std::end(sizes), little_endian(start, 14, 4)) != std::end(sizes);
}

struct Reader {
  ImageFormat format;
  const char* (*read)(ByteSource&, ImageHeader&);
};

const Reader* reader_of(std::string_view start) {
  static constexpr Reader jpeg = {ImageFormat::jpeg, read_jpeg}, png = {ImageFormat::png, read_png},
                          webp = {ImageFormat::webp, read_webp}, gif = {ImageFormat::gif, read_gif},
                          bmp = {ImageFormat::bmp, read_bmp};
  if (start.starts_with("\xFF\xD8\xFF")) return &jpeg;
  if (start.starts_with("\x89PNG\r\n\x1a\n")) return &png;
  if (start.starts_with("RIFF") && stands_at(start, 8, "WEBP")) return &webp;
  if (start.starts_with("GIF87a") || start.starts_with("GIF89a")) return &gif;
  if (is_bmp(start)) return &bmp;
  return nullptr;
}

tl::unexpected<Error> not_read(std::string_view start) {
  const FileKind kind = kind_of_file(start);
  std::string help = "JPEG, PNG, WebP, GIF and BMP pictures are read";
  if (kind.family == FileKind::Family::picture)
    help += "; convert it, as with ImageMagick: convert IN OUT.png";
  if (kind.family == FileKind::Family::video)
    help += "; take pictures out of a video, as with: ffmpeg -i IN -vf fps=1 OUT%03d.jpg";
  return fail(ExitCode::bad_data,
              kind.name.empty() ? "not a picture of a known format" : cat(kind.name, ", which is not read"),
              std::move(help));
}

Result<void> check_size(const ImageHeader& header, const ImageLimits& limits) {
  const auto refuse = [&](const auto&... why) {
    return fail(ExitCode::bad_data,
                cat("a picture of ", header.width, " x ", header.height, " pixels", why...));
  };
  if (header.width < 1 || header.height < 1) return refuse("");
  if (header.width > limits.edge || header.height > limits.edge)
    return refuse("; edges of up to ", limits.edge, " are read");
  if (header.width * header.height > limits.pixels)
    return refuse(", more than the ", limits.pixels, " that are read");
  return {};
}

}  // namespace

std::string_view name_of(ImageFormat format) {
  switch (format) {
    case ImageFormat::jpeg:
      return "JPEG";
    case ImageFormat::png:
      return "PNG";
    case ImageFormat::webp:
      return "WebP";
    case ImageFormat::gif:
      return "GIF";
    case ImageFormat::bmp:
      return "BMP";
  }
  return {};
}

tl::unexpected<Error> broken(ImageFormat format, std::string_view why) {
  return fail(ExitCode::bad_data, cat("a broken ", name_of(format), " picture: ", why),
              "copy or download it again, or save it anew with a program that still opens it");
}

Result<ImageHeader> read_image_header(ByteSource& bytes, const ImageLimits& limits) {
  const std::string start(bytes.read(0, 512));
  const Reader* reader = reader_of(start);
  if (reader == nullptr) return not_read(start);
  ImageHeader header;
  header.format = reader->format;
  const char* problem = reader->read(bytes, header);
  if (problem != nullptr) return broken(header.format, problem);
  auto fits = check_size(header, limits);
  if (!fits) return tl::unexpected(fits.error());
  return header;
}

Image blank(const ImageHeader& header) {
  return {static_cast<int>(header.width), static_cast<int>(header.height),
          std::vector<std::uint8_t>(3 * static_cast<std::size_t>(header.width * header.height))};
}

}  // namespace cornstarch::dataio
