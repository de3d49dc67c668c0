#include <sys/mman.h>
#include <unistd.h>

#include "cornstarch/base/checked.h"
#include "cornstarch/formats/safetensors.h"
#include "input.h"

/// Any bytes are a file whose tensors lie inside of it, one behind the other, or are refused. Of half of the
/// inputs the header's length is made right.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cornstarch;
  using fuzz::require;
  fuzz::Input input(data, size);
  std::string bytes;
  if (input.yes()) {
    const std::size_t behind = input.byte();
    bytes = std::string(8, '\0') + std::string(input.rest()) + std::string(behind, 'x');
    const std::uint64_t length = input.rest().size();
    std::memcpy(bytes.data(), &length, sizeof length);  // little-endian, as hosts are
  } else {
    bytes = input.rest();
  }
  const int fd = ::memfd_create("weights", MFD_CLOEXEC);
  require(fd >= 0 && ::write(fd, bytes.data(), bytes.size()) == std::ssize(bytes));
  const auto file = formats::SafetensorsFile::open("/proc/self/fd/" + std::to_string(fd));
  ::close(fd);
  if (!file) return 0;
  std::size_t total = 0;
  for (const auto& [name, entry] : file->tensors()) {
    const auto content = file->bytes(entry);
    const auto numel = checked_numel(entry.shape);
    require(numel && static_cast<std::int64_t>(content.size()) == *numel * formats::size_of(entry.dtype));
    for (const std::byte byte : content) total += static_cast<std::size_t>(byte);  // it is there
  }
  require(total <= 255 * bytes.size());
  return 0;
}
