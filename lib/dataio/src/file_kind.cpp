#include "file_kind.h"

#include <algorithm>
#include <cctype>

#include "byte_source.h"

namespace cornstarch::dataio {
namespace {

using namespace std::string_view_literals;
using Family = FileKind::Family;

struct Magic {
  std::size_t at;
  std::string_view bytes;
  std::string_view name;
  Family family;
};

/// The first that fits counts.
constexpr Magic kMagic[] = {
    {0, "\xFF\xD8\xFF", "a JPEG picture", Family::picture},
    {0, "\x89PNG", "a PNG picture", Family::picture},
    {0, "GIF8", "a GIF picture", Family::picture},
    {8, "WEBP", "a WebP picture", Family::picture},
    {0, "II*\0"sv, "a TIFF picture", Family::picture},
    {0, "MM\0*"sv, "a TIFF picture", Family::picture},
    {0, "II+\0"sv, "a TIFF picture", Family::picture},
    {0, "MM\0+"sv, "a TIFF picture", Family::picture},
    {4, "ftypavi", "an AVIF picture", Family::picture},
    {4, "ftyphei", "a HEIC picture", Family::picture},
    {4, "ftyphev", "a HEIC picture", Family::picture},
    {4, "ftypmif1", "a HEIC picture", Family::picture},
    {4, "ftypmsf1", "a HEIC picture", Family::picture},
    {4, "ftypM4A", "an M4A recording", Family::sound},
    {4, "ftyp", "an MP4 or QuickTime video", Family::video},
    {0, "\x1A\x45\xDF\xA3", "a WebM or Matroska video", Family::video},
    {8, "AVI ", "an AVI video", Family::video},
    {0, "\0\0\1\xBA"sv, "an MPEG video", Family::video},
    {0, "\0\0\1\xB3"sv, "an MPEG video", Family::video},
    {0, "FLV\1", "an FLV video", Family::video},
    {0, "\x30\x26\xB2\x75\x8E\x66\xCF\x11", "a Windows Media file", Family::video},
    {0, "\0\0\0\x0CjP  "sv, "a JPEG 2000 picture", Family::picture},
    {0, "\xFF\x4F\xFF\x51", "a JPEG 2000 picture", Family::picture},
    {0, "\0\0\0\x0CJXL "sv, "a JPEG XL picture", Family::picture},
    {0, "\xFF\x0A", "a JPEG XL picture", Family::picture},
    {0, "8BPS", "a Photoshop picture", Family::picture},
    {0, "\0\0\1\0"sv, "an icon", Family::picture},
    {0, "P5\n", "a PGM picture", Family::picture},
    {0, "P6\n", "a PPM picture", Family::picture},
    {8, "WAVE", "a WAV recording", Family::sound},
    {0, "fLaC", "a FLAC recording", Family::sound},
    {0, "OggS", "an Ogg recording", Family::sound},
    {0, "ID3", "an MP3 recording", Family::sound},
    {0, "#!AMR", "an AMR recording", Family::sound},
    {0, "%PDF", "a PDF document", Family::other},
    {0, "\x1F\x8B", "a gzip archive", Family::other},
    {0, "PK\3\4", "a zip archive", Family::other},
    {0, "version https://git-lfs", "a Git LFS pointer, not yet the file that it stands for", Family::other},
};

bool contains_tag(std::string_view text, std::string_view tag) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
  };
  return std::search(text.begin(), text.end(), tag.begin(), tag.end(), same) != text.end();
}

/// XML and HTML, after a byte order mark and space.
FileKind kind_of_markup(std::string_view start) {
  if (start.starts_with("\xEF\xBB\xBF")) start.remove_prefix(3);
  start.remove_prefix(std::min(start.find_first_not_of(" \t\r\n"), start.size()));
  if (!start.starts_with('<')) return {};
  if (contains_tag(start, "<svg")) return {"an SVG drawing", Family::picture};
  if (contains_tag(start, "<html") || contains_tag(start, "<!doctype html"))
    return {"an HTML page", Family::other};
  return {};
}

}  // namespace

FileKind kind_of_file(std::string_view start) {
  if (start.empty()) return {"an empty file", Family::other};
  for (const Magic& magic : kMagic) {
    if (stands_at(start, magic.at, magic.bytes)) return {std::string(magic.name), magic.family};
  }
  return kind_of_markup(start);
}

}  // namespace cornstarch::dataio
