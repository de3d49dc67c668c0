#include "data_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

tl::unexpected<Error> cannot_read(const std::filesystem::path& path, const char* why, bool missing) {
  return fail(missing ? ExitCode::missing_input : ExitCode::io,
              cat("cannot read '", path.string(), "': ", why));
}

std::int64_t modified(const struct stat& info) {
  return std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

/// A descriptor of an ordinary file. Opening waits for nobody, be it a pipe.
Result<int> open_regular(const std::filesystem::path& path, struct stat& info) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return cannot_read(path, std::strerror(errno), errno == ENOENT || errno == ENOTDIR);
  if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) return fd;
  ::close(fd);
  return cannot_read(path, "it is no file", false);
}

}  // namespace

Result<DataFile> DataFile::open(const std::filesystem::path& path) {
  struct stat info{};
  const auto fd = open_regular(path, info);
  if (!fd) return tl::unexpected(fd.error());
  DataFile file(path, *fd);
  file.size_ = info.st_size;
  file.modified_ = dataio::modified(info);
  return file;
}

DataFile::DataFile(DataFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_),
      modified_(other.modified_) {}

DataFile& DataFile::operator=(DataFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  std::swap(modified_, other.modified_);
  return *this;
}

DataFile::~DataFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::size_t> DataFile::read(std::int64_t offset, char* to, std::size_t length) const {
  std::size_t done = 0;
  while (done < length) {
    const ssize_t n = ::pread(fd_, to + done, length - done, offset + static_cast<std::int64_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return cannot_read(path_, std::strerror(errno), false);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

std::string DataFile::text(std::int64_t offset, std::size_t length) const {
  std::string out(length, '\0');
  const std::size_t got = value_or_throw(read(offset, out.data(), length));
  struct stat info{};
  const bool known = ::fstat(fd_, &info) == 0;
  if (got == length && known && info.st_size == size_ && dataio::modified(info) == modified_) return out;
  throw Failure(
      ExitCode::bad_data, cat("'", path_.string(), "' was changed while it was in use"),
      "start again; a new version of a data set is best written beside the old one and renamed over it");
}

DataFile::Lock::Lock(const DataFile& file) : fd_(file.fd_) {
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  log::info(cat("waiting for another process that reads '", file.path_.string(), "' for the first time"));
  while (::flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
  }
}

DataFile::Lock::~Lock() { ::flock(fd_, LOCK_UN); }

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  struct stat info{};
  const auto fd = open_regular(path, info);
  if (!fd) return tl::unexpected(fd.error());
  void* data = MAP_FAILED;
  if (info.st_size > 0)
    data = ::mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ, MAP_PRIVATE, *fd, 0);
  const int error = errno;
  ::close(*fd);
  if (info.st_size == 0) return MappedFile(nullptr, 0);
  if (data == MAP_FAILED) return cannot_read(path, std::strerror(error), false);
  return MappedFile(static_cast<const char*>(data), static_cast<std::size_t>(info.st_size));
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

}  // namespace cornstarch::dataio
