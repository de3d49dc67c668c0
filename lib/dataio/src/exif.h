#pragma once

#include <string_view>

#include "cornstarch/dataio/image.h"

namespace cornstarch::dataio {

/// The orientation (1 to 8) that EXIF bytes give, "Exif\0\0" before them or not; 0 if they give none.
int exif_orientation(std::string_view exif);
/// The same of an XMP packet.
int xmp_orientation(std::string_view xmp);

/// The picture turned and mirrored as its orientation says.
Image upright(Image image, int orientation);

}  // namespace cornstarch::dataio
