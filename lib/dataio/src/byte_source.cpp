#include "byte_source.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

constexpr std::size_t kWindow = 4096;

}  // namespace

Result<ByteSource> ByteSource::open(const std::filesystem::path& path) {
  auto file = open_file(path);
  if (!file) return tl::unexpected(file.error());
  struct stat info{};
  if (::fstat(file->get(), &info) != 0)
    return fail(ExitCode::io, cat("cannot read '", path.string(), "': ", std::strerror(errno)));
  ByteSource source;
  source.size_ = info.st_size;
  source.fd_ = file->get();
  source.file_ = std::move(*file);
  return source;
}

ByteSource ByteSource::holding(std::string bytes) {
  auto held = std::make_shared<const std::string>(std::move(bytes));
  ByteSource source{std::string_view(*held)};
  source.held_ = std::move(held);
  return source;
}

ByteSource ByteSource::part_of(int fd, std::int64_t begin, std::int64_t size) {
  ByteSource source;
  source.fd_ = fd;
  source.offset_ = begin;
  source.size_ = size;
  return source;
}

void ByteSource::fill(std::int64_t at) {
  std::size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t got = ::pread(fd_, buffer_.data() + done, buffer_.size() - done,
                                offset_ + at + static_cast<std::int64_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) errno_ = errno;
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  buffer_.resize(done);
  window_ = buffer_;
  begin_ = at;
}

std::optional<Error> ByteSource::trouble() const {
  if (errno_ == 0) return std::nullopt;
  return Error{ExitCode::io, cat("cannot be read: ", std::strerror(errno_)), {}};
}

std::string_view ByteSource::read(std::int64_t at, std::size_t n) {
  if (at < 0 || at >= size_) return {};
  n = std::min(n, static_cast<std::size_t>(size_ - at));
  const auto end = begin_ + static_cast<std::int64_t>(window_.size());
  if (at < begin_ || at + static_cast<std::int64_t>(n) > end) {
    buffer_.resize(std::min(std::max(n, kWindow), static_cast<std::size_t>(size_ - at)));
    fill(at);
  }
  return window_.substr(static_cast<std::size_t>(at - begin_), n);
}

int ByteSource::byte(std::int64_t at) {
  const std::string_view one = read(at, 1);
  return one.empty() ? -1 : static_cast<unsigned char>(one[0]);
}

bool stands_at(std::string_view bytes, std::size_t at, std::string_view text) {
  return at <= bytes.size() && bytes.substr(at).starts_with(text);
}

std::uint32_t little_endian(std::string_view bytes, std::size_t at, std::size_t n) {
  std::uint32_t value = 0;
  for (std::size_t i = n; i-- > 0;)
    value = value << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0U);
  return value;
}

std::uint32_t big_endian(std::string_view bytes, std::size_t at, std::size_t n) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < n; ++i)
    value = value << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0U);
  return value;
}

}  // namespace cornstarch::dataio
