#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cornstarch/dataio/image.h"

/// Any bytes become a picture of as many bytes as its size says, or an error.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cornstarch::dataio;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto image = decode_image(bytes, {.pixels = std::int64_t{1} << 22});
  if (image && std::ssize(image->rgb) != std::int64_t{3} * image->width * image->height) std::abort();
  if (!image && image.error().message.empty()) std::abort();
  return 0;
}
