#include "media_names.h"

#include <algorithm>
#include <array>
#include <string>

namespace cornstarch::dataio {
namespace {

struct Ending {
  std::string_view text;
  MediaKind kind;
};

constexpr std::array kEndings = {
    Ending{".jpg", MediaKind::image},  Ending{".jpeg", MediaKind::image}, Ending{".png", MediaKind::image},
    Ending{".webp", MediaKind::image}, Ending{".gif", MediaKind::image},  Ending{".bmp", MediaKind::image},
    Ending{".tif", MediaKind::image},  Ending{".tiff", MediaKind::image}, Ending{".heic", MediaKind::image},
    Ending{".avif", MediaKind::image}, Ending{".wav", MediaKind::audio},  Ending{".flac", MediaKind::audio},
    Ending{".mp3", MediaKind::audio},  Ending{".ogg", MediaKind::audio},  Ending{".opus", MediaKind::audio},
    Ending{".m4a", MediaKind::audio},  Ending{".mp4", MediaKind::video},  Ending{".avi", MediaKind::video},
    Ending{".mkv", MediaKind::video},  Ending{".mov", MediaKind::video},  Ending{".webm", MediaKind::video}};

}  // namespace

std::optional<MediaKind> media_kind_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || name.size() - dot > 6) return std::nullopt;
  std::string ending(name.substr(dot));
  for (char& c : ending) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  const auto found =
      std::find_if(kEndings.begin(), kEndings.end(), [&](const Ending& each) { return each.text == ending; });
  return found == kEndings.end() ? std::nullopt : std::optional(found->kind);
}

}  // namespace cornstarch::dataio
