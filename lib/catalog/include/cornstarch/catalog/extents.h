#pragma once

#include <compare>
#include <cstdint>

namespace cornstarch::catalog {

/// How far a media item reaches: a picture's or a video's patches in time, downwards and across; a
/// recording's frames across.
struct Extents {
  std::int64_t t = 1, h = 1, w = 1;
  std::int64_t places() const { return t * h * w; }
  auto operator<=>(const Extents&) const = default;
};

}  // namespace cornstarch::catalog
