#include "cornstarch/base/files.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cornstarch/base/new_file.h"
#include "cornstarch/base/text.h"

namespace cornstarch {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> read_failure(const fs::path& path, int error) {
  const bool missing = error == ENOENT || error == ENOTDIR;
  return fail(missing ? ExitCode::missing_input : ExitCode::io,
              cat("cannot read '", path.string(), "': ", std::strerror(error)));
}

tl::unexpected<Error> write_failure(const fs::path& path, int error) {
  return fail(ExitCode::io, cat("cannot write '", path.string(), "': ", std::strerror(error)));
}

/// What stands in a file's place, or "".
std::string_view other_kind(mode_t mode) {
  if (S_ISREG(mode)) return {};
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a FIFO, not a file";
  return S_ISSOCK(mode) ? "a socket, not a file" : "a device, not a file";
}

/// Waits for a pipe's writer, though not for ever.
bool comes_more(int fd) {
  constexpr int kLongest = 10'000;  // ms
  pollfd one{fd, POLLIN, 0};
  return ::poll(&one, 1, kLongest) != 0;
}

fs::path name_beside(const fs::path& path) {
  static std::atomic<unsigned> counter{0};
  return fs::path(path).replace_filename(
      cat(".", path.filename().string(), ".", ::getpid(), ".", counter++, ".tmp"));
}

bool contains(const fs::path& root, const fs::path& path) {
  return std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
}

}  // namespace

bool sync_folder(const fs::path& folder) {
  Descriptor fd(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some network file systems cannot sync a folder and say so; the rename has happened all the same.
  return fd.valid() && (::fsync(fd.get()) == 0 || errno == EINVAL || errno == ENOTSUP);
}

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

bool Descriptor::close() {
  const int fd = std::exchange(fd_, -1);
  return fd < 0 || ::close(fd) == 0;
}

namespace {

Result<Descriptor> open_file_or_pipe(const fs::path& path, bool pipes) {
  struct stat info{};
  const auto refusal = [&]() -> Result<void> {
    const std::string_view other = other_kind(info.st_mode);
    if (other.empty() || (pipes && S_ISFIFO(info.st_mode))) return {};
    return fail(ExitCode::io, cat("cannot read '", path.string(), "': it is ", other));
  };
  if (::stat(path.c_str(), &info) != 0) return read_failure(path, errno);
  if (const auto ok = refusal(); !ok) return tl::unexpected(ok.error());  // to open a device may do something
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0) return read_failure(path, errno);
  if (const auto ok = refusal(); !ok) return tl::unexpected(ok.error());  // it took the file's place just now
  return fd;
}

Result<std::string> read_whole(const fs::path& path, std::size_t max_bytes, bool pipes) {
  auto fd = open_file_or_pipe(path, pipes);
  if (!fd) return tl::unexpected(fd.error());
  struct stat info{};
  if (::fstat(fd->get(), &info) != 0) return read_failure(path, errno);
  std::string content;
  content.resize(std::min(static_cast<std::size_t>(std::max<off_t>(info.st_size, 0)), max_bytes) + 1);
  std::size_t size = 0;
  while (true) {
    const ssize_t n = ::read(fd->get(), content.data() + size, content.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN && comes_more(fd->get())) continue;
    if (n < 0) return read_failure(path, errno == EAGAIN ? ETIMEDOUT : errno);
    if (n == 0 && size == 0 && S_ISFIFO(info.st_mode))
      return fail(ExitCode::io, cat("cannot read '", path.string(),
                                    "': it is a FIFO, not a file, and nobody writes to it"));
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
    if (size > max_bytes) {
      return fail(ExitCode::bad_data,
                  cat("'", path.string(), "' is larger than ", human_bytes(static_cast<double>(max_bytes)),
                      ", the most that is read"));
    }
    if (size == content.size()) content.resize(std::min(2 * size, max_bytes) + 1);
  }
  content.resize(size);
  return content;
}

}  // namespace

Result<Descriptor> open_file(const fs::path& path) { return open_file_or_pipe(path, false); }

Result<std::string> read_file(const fs::path& path, std::size_t max_bytes) {
  return read_whole(path, max_bytes, false);
}

Result<std::string> read_file_or_pipe(const fs::path& path, std::size_t max_bytes) {
  return read_whole(path, max_bytes, true);
}

Result<void> write_file_atomically(const fs::path& path, std::string_view content) {
  return write_file_atomically(path, std::vector<std::string_view>{content});
}

Result<void> write_file_atomically(const fs::path& path, const std::vector<std::string_view>& parts) {
  auto file = NewFile::begin(path);
  if (!file) return tl::unexpected(file.error());
  std::uint64_t at = 0;
  for (const std::string_view part : parts) {
    if (const auto ok = file->write(at, part); !ok) return ok;
    at += part.size();
  }
  return file->finish();
}

Result<NewFile> NewFile::begin(fs::path path) {
  if (path.filename().empty()) return write_failure(path, EISDIR);
  fs::path temporary = name_beside(path);
  Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file.valid()) return write_failure(path, errno);
  return NewFile(std::move(path), std::move(temporary), std::move(file));
}

NewFile::~NewFile() {
  if (file_.valid()) ::unlink(temporary_.c_str());
}

Result<void> NewFile::write(std::uint64_t at, std::string_view content) {
  while (!content.empty()) {
    const ssize_t n = ::pwrite(file_.get(), content.data(), content.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return write_failure(path_, errno);
    content.remove_prefix(static_cast<std::size_t>(n));
    at += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<void> NewFile::finish() {
  const bool synced = ::fsync(file_.get()) == 0;
  if (!synced || !file_.close() || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    file_.close();
    return write_failure(path_, error);
  }
  if (!sync_folder(path_.parent_path())) return write_failure(path_, errno);
  return {};
}

Result<void> make_folders(const fs::path& folder) {
  std::error_code error;
  if (fs::is_directory(folder, error) || folder.empty()) return {};
  if (auto above = make_folders(folder.parent_path()); !above) return above;
  const bool made = ::mkdir(folder.c_str(), 0777) == 0;
  if (!made && errno != EEXIST) return write_failure(folder, errno);
  if (!made && !fs::is_directory(folder, error)) return write_failure(folder, ENOTDIR);  // nor another's
  if (!sync_folder(folder.parent_path())) return write_failure(folder, errno);
  return {};
}

Result<fs::path> resolve_inside(const fs::path& root, const std::string& relative) {
  const auto refuse = [&](std::string_view why) {
    return fail(ExitCode::bad_data, cat("'", relative, "' is refused: ", why),
                cat("give a path inside '", root.string(), "', relative to it"));
  };
  if (relative.empty() || relative.find('\0') != std::string::npos) return refuse("it is no path");
  const fs::path part(relative);
  if (part.is_absolute()) return refuse("it is an absolute path");
  if (std::find(part.begin(), part.end(), "..") != part.end()) return refuse("it contains '..'");

  std::error_code error;
  const fs::path real_root = fs::weakly_canonical(fs::absolute(root, error) / "", error);
  if (error) return fail(ExitCode::io, cat("cannot resolve '", root.string(), "': ", error.message()));
  fs::path real = fs::weakly_canonical(real_root / part, error);
  if (error) return fail(ExitCode::io, cat("cannot resolve '", relative, "': ", error.message()));
  const fs::path bare_root = real_root.has_filename() ? real_root : real_root.parent_path();
  if (!contains(bare_root, real)) return refuse("a link leads out of the folder");
  return real;
}

}  // namespace cornstarch
