#include "hash.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
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

std::int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

}  // namespace

struct Hash::State {
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state{XXH3_createState(), &XXH3_freeState};
};

Hash::Hash() : state_(std::make_unique<State>()) { XXH3_128bits_reset(state_->state.get()); }
Hash::~Hash() = default;

void Hash::add(std::span<const std::byte> bytes) {
  XXH3_128bits_update(state_->state.get(), bytes.data(), bytes.size());
}

std::string Hash::text() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->state.get());
  std::array<char, 33> text{};
  std::snprintf(text.data(), text.size(), "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return text.data();
}

std::string hash_of(std::span<const std::byte> bytes, const GivesUp& gives_up) {
  Hash hash;
  while (!bytes.empty()) {
    if (gives_up && gives_up()) return {};
    const auto some = bytes.first(std::min(bytes.size(), kAtOnce));
    hash.add(some);
    bytes = bytes.subspan(some.size());
  }
  return hash.text();
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

Result<Reference::File> hash_file(const std::filesystem::path& path, const GivesUp& gives_up) {
  const auto failure = [&] {
    return fail(ExitCode::io, cat("cannot read '", path.string(), "': ", std::strerror(errno)));
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return failure();
  const std::unique_ptr<const int, void (*)(const int*)> closes(&fd, [](const int* f) { ::close(*f); });
  struct stat info{};
  if (::fstat(fd, &info) != 0) return failure();
  Hash hash;
  std::vector<std::byte> buffer(kAtOnce);
  Reference::File file{path.filename(), 0, nanoseconds(info.st_mtim), {}};
  while (true) {
    if (gives_up && gives_up()) {
      errno = ECANCELED;
      return failure();
    }
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failure();
    if (n == 0) break;
    hash.add(std::span(buffer).first(static_cast<std::size_t>(n)));
    file.bytes += n;
  }
  file.hash = hash.text();
  return file;
}

}  // namespace cornstarch::checkpoint
