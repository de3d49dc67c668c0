#include "data_file.h"

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

tl::unexpected<Error> cannot_read(const std::filesystem::path& path) {
  return fail(ExitCode::io, cat("cannot read '", path.string(), "': ", std::strerror(errno)));
}

std::int64_t modified(const struct stat& info) {
  return std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

}  // namespace

Result<DataFile> DataFile::open(const std::filesystem::path& path) {
  auto fd = open_file(path);
  if (!fd) return tl::unexpected(fd.error());
  struct stat info{};
  if (::fstat(fd->get(), &info) != 0) return cannot_read(path);
  DataFile file(path, std::move(*fd));
  file.size_ = info.st_size;
  file.modified_ = dataio::modified(info);
  return file;
}

Result<std::size_t> DataFile::read(std::int64_t offset, char* to, std::size_t length) const {
  std::size_t done = 0;
  while (done < length) {
    const ssize_t n = ::pread(fd_.get(), to + done, length - done, offset + static_cast<std::int64_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return cannot_read(path_);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

std::string DataFile::text(std::int64_t offset, std::size_t length) const {
  std::string out(length, '\0');
  const std::size_t got = value_or_throw(read(offset, out.data(), length));
  struct stat info{};
  const bool known = ::fstat(fd_.get(), &info) == 0;
  if (got == length && known && info.st_size == size_ && dataio::modified(info) == modified_) return out;
  throw Failure(
      ExitCode::bad_data, cat("'", path_.string(), "' was changed while it was in use"),
      "start again; a new version of a data set is best written beside the old one and renamed over it");
}

DataFile::Lock::Lock(const DataFile& file) : fd_(file.fd_.get()) {
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  log::info(cat("waiting for another process that reads '", file.path_.string(), "' for the first time"));
  while (::flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
  }
}

DataFile::Lock::~Lock() { ::flock(fd_, LOCK_UN); }

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const auto fd = open_file(path);
  if (!fd) return tl::unexpected(fd.error());
  struct stat info{};
  if (::fstat(fd->get(), &info) != 0) return cannot_read(path);
  if (info.st_size == 0) return MappedFile(nullptr, 0);
  const auto size = static_cast<std::size_t>(info.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd->get(), 0);
  if (data == MAP_FAILED) return cannot_read(path);
  return MappedFile(static_cast<const char*>(data), size);
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
