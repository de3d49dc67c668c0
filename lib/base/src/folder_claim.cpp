#include "cornstarch/base/folder_claim.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <thread>

#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/words.h"

namespace cornstarch {
namespace {

namespace fs = std::filesystem;

fs::path file_in(const fs::path& folder) { return folder / ".owner"; }

/// The whole file. Held by the open file, not by the process: a second claim of the same process is refused,
/// too, and closing another descriptor of the file gives nothing back. NFS has such locks as well.
struct flock whole_file() {
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

std::string myself() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char time[32];
  std::strftime(time, sizeof time, "%F %T UTC", &parts);
  return cat("process ", ::getpid(), " on ", host_name(), ", since ", time);
}

/// What the file says of its holder, who may just be writing it.
std::string read_holder(int descriptor) {
  for (int tries = 0; tries < 20; ++tries) {
    char text[512];
    const ssize_t n = ::pread(descriptor, text, sizeof text, 0);
    const std::string_view said = trim(std::string_view(text, static_cast<std::size_t>(n < 0 ? 0 : n)));
    if (!said.empty()) return std::string(said);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return "another process";
}

/// Whether it is still the folder's: the folder may have been moved aside in between.
bool still_there(int descriptor, const fs::path& file) {
  struct stat held{}, named{};
  return ::fstat(descriptor, &held) == 0 && ::stat(file.c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

tl::unexpected<Error> in_use(const fs::path& folder, int descriptor) {
  return fail(ExitCode::usage, cat("'", folder.string(), "' is in use by ", read_holder(descriptor)),
              "wait for its end, or take another folder");
}

tl::unexpected<Error> failure(const fs::path& file) {
  return fail(ExitCode::io, cat("cannot write '", file.string(), "': ", std::strerror(errno)));
}

}  // namespace

Result<FolderClaim> FolderClaim::take(const fs::path& folder) {
  const fs::path file = file_in(folder);
  while (true) {
    FolderClaim claim(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (claim.descriptor_ < 0) return failure(file);
    struct flock lock = whole_file();
    const bool locked = ::fcntl(claim.descriptor_, F_OFD_SETLK, &lock) == 0;
    if (!locked && (errno == EAGAIN || errno == EACCES)) return in_use(folder, claim.descriptor_);
    if (!locked)
      log::warning(cat("'", file.string(), "' cannot be locked: ", std::strerror(errno),
                       "; nothing keeps another run out of the folder"));
    if (!still_there(claim.descriptor_, file)) continue;
    const std::string text = myself() + "\n";
    if (::ftruncate(claim.descriptor_, 0) != 0 ||
        ::pwrite(claim.descriptor_, text.data(), text.size(), 0) < 0)
      return failure(file);
    return claim;
  }
}

Result<void> FolderClaim::check_free(const fs::path& folder) {
  const FolderClaim file(::open(file_in(folder).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct flock lock = whole_file();
  if (file.descriptor_ < 0 || ::fcntl(file.descriptor_, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
    return {};
  return in_use(folder, file.descriptor_);
}

FolderClaim::~FolderClaim() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace cornstarch
