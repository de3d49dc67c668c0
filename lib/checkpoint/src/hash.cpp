#include "hash.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "cornstarch/base/text.h"
#include "cornstarch/checkpoint/checkpoint.h"

namespace cornstarch::checkpoint {
namespace {

std::string hexadecimal(XXH128_hash_t hash) {
  std::array<char, 33> text{};
  std::snprintf(text.data(), text.size(), "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return text.data();
}

std::int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

}  // namespace

std::string hash_of(std::span<const std::byte> bytes) {
  return hexadecimal(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string hash_of(std::string_view text) { return hash_of(std::as_bytes(std::span(text))); }

Result<void> check_reference(const Reference& reference, const std::filesystem::path& folder) {
  for (const Reference::File& file : reference.files) {
    const std::filesystem::path path = folder / file.name;
    struct stat info{};
    const bool same = ::stat(path.c_str(), &info) == 0 && info.st_size == file.bytes &&
                      nanoseconds(info.st_mtim) == file.modified_ns;
    if (same) continue;
    const auto now = hash_file(path);
    if (!now) return tl::unexpected(now.error());
    if (now->hash != file.hash)
      return fail(ExitCode::bad_data, cat("'", path.string(), "' is not what the weights of ",
                                          reference.modality, " were when the checkpoint was written"));
  }
  return {};
}

Result<Reference::File> hash_file(const std::filesystem::path& path) {
  const auto failure = [&] {
    return fail(ExitCode::io, cat("cannot read '", path.string(), "': ", std::strerror(errno)));
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return failure();
  const std::unique_ptr<const int, void (*)(const int*)> closes(&fd, [](const int* f) { ::close(*f); });
  struct stat info{};
  if (::fstat(fd, &info) != 0) return failure();
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  XXH3_128bits_reset(state.get());
  std::vector<char> buffer(std::size_t{4} << 20);
  Reference::File file{path.filename(), 0, nanoseconds(info.st_mtim), {}};
  while (true) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failure();
    if (n == 0) break;
    XXH3_128bits_update(state.get(), buffer.data(), static_cast<std::size_t>(n));
    file.bytes += n;
  }
  file.hash = hexadecimal(XXH3_128bits_digest(state.get()));
  return file;
}

}  // namespace cornstarch::checkpoint
