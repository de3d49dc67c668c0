#include "byte_source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

constexpr std::size_t kWindow = 4096;

tl::unexpected<Error> unreadable(const std::filesystem::path& path, ExitCode code, std::string_view why) {
  return fail(code, cat("cannot read '", path.string(), "': ", why));
}

}  // namespace

Result<std::int64_t> regular_file_size(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found)
    return unreadable(path, ExitCode::missing_input, std::strerror(ENOENT));
  if (error) return unreadable(path, ExitCode::io, error.message());
  if (std::filesystem::is_directory(status)) return unreadable(path, ExitCode::io, "it is a folder");
  if (!std::filesystem::is_regular_file(status))
    return unreadable(path, ExitCode::io, "it is no regular file");
  const auto size = std::filesystem::file_size(path, error);
  if (error) return unreadable(path, ExitCode::io, error.message());
  return static_cast<std::int64_t>(size);
}

Result<ByteSource> ByteSource::open(const std::filesystem::path& path) {
  const auto size = regular_file_size(path);
  if (!size) return tl::unexpected(size.error());
  ByteSource source;
  source.size_ = *size;
  source.file_.rdbuf()->pubsetbuf(nullptr, 0);  // the window is buffer enough
  source.file_.open(path, std::ios::binary);
  if (!source.file_) return unreadable(path, ExitCode::io, std::strerror(errno));
  return source;
}

std::string_view ByteSource::read(std::int64_t at, std::size_t n) {
  if (at < 0 || at >= size_) return {};
  n = std::min(n, static_cast<std::size_t>(size_ - at));
  const auto end = begin_ + static_cast<std::int64_t>(window_.size());
  if (at < begin_ || at + static_cast<std::int64_t>(n) > end) {
    buffer_.resize(std::min(std::max(n, kWindow), static_cast<std::size_t>(size_ - at)));
    file_.clear();
    file_.seekg(at);
    file_.read(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    buffer_.resize(static_cast<std::size_t>(std::max<std::streamsize>(file_.gcount(), 0)));
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
