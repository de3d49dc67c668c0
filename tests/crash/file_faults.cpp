// Preloaded into a program, makes one of its file operations go wrong. Counted are those that change files
// below FAULTS_BELOW: opening for writing, write, pwrite, fsync, rename, mkdir, unlink, rmdir. The one that
// FAULTS_AT names (from 1)
//
//   FAULTS_KIND=kill   never begins: the process is killed (as by SIGKILL)
//   FAULTS_KIND=half   a write does a half of it, then the process is killed; any other operation as `kill`
//   FAULTS_KIND=nospace, io   fails with ENOSPC or EIO; FAULTS_STAYS=1: so do all after it
//   FAULTS_KIND=slow   begins 3 s late; FAULTS_STAYS=1: so do all after it
//
// Without FAULTS_AT they are counted only; FAULTS_COUNT names a file for the number.

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

struct Faults {
  std::string below = setting("FAULTS_BELOW"), kind = setting("FAULTS_KIND"), count = setting("FAULTS_COUNT");
  long at = std::atol(setting("FAULTS_AT").c_str());
  bool stays = setting("FAULTS_STAYS") == "1";
  std::atomic<long> seen{0};
  ~Faults() {
    if (count.empty()) return;
    if (std::FILE* file = std::fopen(count.c_str(), "w")) {
      std::fprintf(file, "%ld\n", seen.load());
      std::fclose(file);
    }
  }
};

Faults& faults() {
  static Faults all;
  return all;
}

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

bool watched(const char* path) {
  const Faults& f = faults();
  return !f.below.empty() && std::strncmp(path, f.below.c_str(), f.below.size()) == 0;
}

bool watched(int fd) {
  char link[64], path[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = ::readlink(link, path, sizeof path - 1);
  if (n <= 0) return false;
  path[n] = '\0';
  return watched(path);
}

enum class What { goes_on, fails };

/// One more operation; does not come back from a kill. `half`: what to do before it.
template <typename Half>
What next(Half&& half) {
  Faults& f = faults();
  const long now = ++f.seen;
  if (f.at == 0 || now < f.at || (now > f.at && !f.stays)) return What::goes_on;
  if (f.kind == "slow") {
    ::sleep(3);
    return What::goes_on;
  }
  if (f.kind == "half") half();
  if (f.kind == "half" || f.kind == "kill") {
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }
  errno = f.kind == "nospace" ? ENOSPC : EIO;
  return What::fails;
}
What next() {
  return next([] {});
}

int open_real(const char* name, const char* path, int flags, mode_t mode) {
  const bool changes = (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0;
  if (changes && watched(path) && next() == What::fails) return -1;
  return real<int(const char*, int, ...)>(name)(path, flags, mode);
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return open_real("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return open_real("open64", path, flags, mode);
}

ssize_t write(int fd, const void* data, size_t size) {
  const auto writes = real<ssize_t(int, const void*, size_t)>("write");
  if (watched(fd) && next([&] { writes(fd, data, size / 2); }) == What::fails) return -1;
  return writes(fd, data, size);
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  const auto writes = real<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  if (watched(fd) && next([&] { writes(fd, data, size / 2, at); }) == What::fails) return -1;
  return writes(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) { return pwrite(fd, data, size, at); }

int fsync(int fd) {
  if (watched(fd) && next() == What::fails) return -1;
  return real<int(int)>("fsync")(fd);
}

int rename(const char* from, const char* to) {
  if (watched(from) && next() == What::fails) return -1;
  return real<int(const char*, const char*)>("rename")(from, to);
}

int mkdir(const char* path, mode_t mode) {
  if (watched(path) && next() == What::fails) return -1;
  return real<int(const char*, mode_t)>("mkdir")(path, mode);
}

int unlink(const char* path) {
  if (watched(path) && next() == What::fails) return -1;
  return real<int(const char*)>("unlink")(path);
}

int rmdir(const char* path) {
  if (watched(path) && next() == What::fails) return -1;
  return real<int(const char*)>("rmdir")(path);
}

int remove(const char* path) {
  if (watched(path) && next() == What::fails) return -1;
  return real<int(const char*)>("remove")(path);
}

int unlinkat(int folder, const char* path, int flags) {
  if ((folder == AT_FDCWD ? watched(path) : watched(folder)) && next() == What::fails) return -1;
  return real<int(int, const char*, int)>("unlinkat")(folder, path, flags);
}
}
