#include "cornstarch/base/error_of.h"

#include <new>
#include <system_error>

#include "catch.h"

namespace cornstarch {
namespace {

TEST_CASE("Memory and threads that the system does not give are no bugs") {
  const Error memory = error_of(std::bad_alloc());
  CHECK(memory.code == ExitCode::device);
  CHECK(memory.message == "out of memory");
  const Error of_torch =
      error_of(std::runtime_error("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't "
                                  "allocate memory: you tried to "
                                  "allocate 596736 bytes. Error code 12 (Cannot allocate memory)"));
  CHECK(of_torch.code == ExitCode::device);
  CHECK(of_torch.message == "out of memory");
  const Error threads =
      error_of(std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again)));
  CHECK(threads.code == ExitCode::device);
  CHECK(threads.message == "out of memory or threads: Resource temporarily unavailable");
  CHECK(threads.help == "ulimit -v and ulimit -u say what one process and one user may have");
}

TEST_CASE("A failure is what it says, and the rest is a bug") {
  const Error failure = error_of(Failure(ExitCode::bad_data, "what", "help"));
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(failure.message == "what");
  CHECK(failure.help == "help");
  const Error bug = error_of(std::runtime_error("odd"));
  CHECK(bug.code == ExitCode::internal);
  CHECK(bug.message == "odd");
  CHECK(bug.help == "this is a bug: please report it with the config");
}

}  // namespace
}  // namespace cornstarch
