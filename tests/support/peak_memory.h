#pragma once

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <limits>

namespace cornstarch::test {

/// The most bytes that `f` takes, run in a process of its own, beside what this one holds; no end of them
/// where it does not return true.
template <class F>
std::int64_t peak_memory_of(F f) {
  const auto most = [](const rusage& usage) { return std::int64_t{usage.ru_maxrss} * 1024; };
  const pid_t child = ::fork();
  if (child == 0) ::_exit(f() ? 0 : 1);
  int status = 1;
  rusage after{}, before{};
  ::getrusage(RUSAGE_SELF, &before);
  ::wait4(child, &status, 0, &after);
#ifdef __SANITIZE_THREAD__
  return status == 0 ? 0 : std::numeric_limits<std::int64_t>::max();  // it keeps a shadow of all memory
#endif
  return status == 0 ? most(after) - most(before) : std::numeric_limits<std::int64_t>::max();
}

}  // namespace cornstarch::test
