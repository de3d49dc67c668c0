#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <string>
#include <vector>

namespace cornstarch::test {

/// What has been synced, by its path, in order. For one file of a test program: its fsync() stands before the
/// C library's.
inline std::vector<std::string> synced;

}  // namespace cornstarch::test

extern "C" int fsync(int fd) {
  char path[PATH_MAX];
  const ssize_t n = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path);
  if (n > 0) cornstarch::test::synced.emplace_back(path, static_cast<std::size_t>(n));
  return static_cast<int>(::syscall(SYS_fsync, fd));
}
