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
  source.file_ = std::move(*file);
  return source;
}

std::string_view ByteSource::read(std::int64_t at, std::size_t n) {
  if (at < 0 || at >= size_) return {};
  n = std::min(n, static_cast<std::size_t>(size_ - at));
  const auto end = begin_ + static_cast<std::int64_t>(window_.size());
  if (at < begin_ || at + static_cast<std::int64_t>(n) > end) {
    buffer_.resize(std::min(std::max(n, kWindow), static_cast<std::size_t>(size_ - at)));
    const ssize_t got = ::pread(file_.get(), buffer_.data(), buffer_.size(), at);
    buffer_.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    window_ = buffer_;
    begin_ = at;
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
