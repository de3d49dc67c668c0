#include "cornstarch/launch/stop.h"

#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <functional>

#include "catch.h"

using namespace cornstarch::launch;

namespace {

/// What a process of its own ends with: its exit code, or 1000 + the signal that killed it.
int outcome(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

}  // namespace

TEST_CASE("each stop signal is a request, and the first one is remembered") {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
    REQUIRE(outcome([signal] {
              install_stop_handlers();
              const int before = stop_requested();
              std::raise(signal);
              std::raise(SIGUSR1);
              return before + stop_requested();
            }) == signal);
  }
}

TEST_CASE("a second SIGINT ends the process at once") {
  REQUIRE(outcome([] {
            install_stop_handlers();
            std::raise(SIGTERM);
            std::raise(SIGINT);
            std::raise(SIGTERM);
            std::raise(SIGINT);
            return 0;
          }) == 130);
}

TEST_CASE("other signals are left alone") {
  REQUIRE(outcome([] {
            install_stop_handlers();
            std::raise(SIGHUP);
            return 0;
          }) == 1000 + SIGHUP);
}
