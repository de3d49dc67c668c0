#include "cornstarch/launch/stop.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include "catch.h"
#include "cornstarch/base/console.h"

using namespace cornstarch;
using namespace cornstarch::launch;

namespace {

using Clock = std::chrono::steady_clock;

/// What a process of its own ends with: its exit code, or 1000 + the signal that killed it.
int outcome(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    console().set_level(log::Level::error);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/// To the process, as from outside.
void send(int signal) { ::kill(::getpid(), signal); }

bool comes_true(const std::function<bool()>& condition) {
  const auto limit = Clock::now() + std::chrono::seconds(20);
  while (!condition() && Clock::now() < limit) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return condition();
}

int request(int signal) {
  send(signal);
  return comes_true([] { return stop_requested() != 0; }) ? stop_requested() : 0;
}

LaunchContext by(const std::string& source) {
  LaunchContext launch;
  launch.source = source;
  return launch;
}

}  // namespace

TEST_CASE("Each stop signal is a request, and the first one is remembered") {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1})
    CHECK(outcome([signal] {
            hear_signals(by("alone"), {});
            stops_wait();
            const int heard = request(signal);
            send(SIGUSR1);
            std::this_thread::sleep_for(Milliseconds(20));
            return stop_requested() == heard && !finish_by() ? heard : 0;
          }) == signal);
}

TEST_CASE("A second SIGINT ends the process at once, but not what some send twice") {
  CHECK(outcome([] {
          hear_signals(by("alone"), {});
          stops_wait();
          request(SIGTERM);
          send(SIGINT);
          std::this_thread::sleep_for(Milliseconds(300));
          send(SIGTERM);
          send(SIGINT);
          std::this_thread::sleep_for(std::chrono::seconds(20));
          return 0;
        }) == 130);
  CHECK(outcome([] {
          hear_signals(by("alone"), {});
          stops_wait();
          request(SIGINT);
          send(SIGINT);
          std::this_thread::sleep_for(Milliseconds(20));
          return 7;
        }) == 7);
}

TEST_CASE("Before there is anything to save, every signal ends the process") {
  CHECK(outcome([] {
          hear_signals(by("alone"), {});
          send(SIGTERM);
          std::this_thread::sleep_for(std::chrono::seconds(20));
          return 0;
        }) == 143);
}

TEST_CASE("A signal that is ignored stays so (nohup), and a reader that has gone ends nothing") {
  CHECK(outcome([] {
          std::signal(SIGHUP, SIG_IGN);
          hear_signals(by("alone"), {});
          send(SIGHUP);
          send(SIGPIPE);
          std::this_thread::sleep_for(Milliseconds(50));
          return stop_requested() + 7;
        }) == 7);
}

TEST_CASE("Where somebody kills, what is under way has half of the time") {
  CHECK(outcome([] {
          hear_signals(by("alone"), Milliseconds(8000));
          stops_wait();
          const auto before = Clock::now();
          request(SIGUSR1);
          if (!comes_true([] { return finish_by().has_value(); })) return 1;
          const auto left = *finish_by() - before;
          return left >= Milliseconds(4000) && left < Milliseconds(24'000) ? 7 : 2;
        }) == 7);
}

TEST_CASE("mpirun's first signal is SIGCONT; anybody else's SIGCONT is none") {
  // The test's process is the parent that a launcher would be.
  const auto child_of_mpirun = [](const std::string& source, bool from_parent) {
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = fork();
    if (child == 0) {
      console().set_level(log::Level::error);
      hear_signals(by(source), {});
      stops_wait();
      [[maybe_unused]] const auto said = ::write(ready[1], "x", 1);
      if (!from_parent) send(SIGCONT);
      const int limit = from_parent ? 20'000 : 50;
      for (int i = 0; i < limit && stop_requested() == 0; ++i) std::this_thread::sleep_for(Milliseconds(1));
      _exit(stop_requested() + (finish_by() ? 100 : 0));
    }
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    if (from_parent) ::kill(child, SIGCONT);
    int status = 0;
    waitpid(child, &status, 0);
    ::close(ready[0]);
    ::close(ready[1]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  CHECK(child_of_mpirun("openmpi", true) == 100 + SIGTERM);
  CHECK(child_of_mpirun("openmpi", false) == 0);
}

TEST_CASE("When launchers kill, as measured") {
  std::map<std::string, std::string> environment;
  const GetEnv get_env = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = environment.find(name);
    return found == environment.end() ? std::nullopt : std::optional(found->second);
  };
  const auto left = [&](int signal, const char* source, bool from_launcher = true) {
    return time_until_killed(signal, from_launcher, by(source), get_env);
  };
  CHECK(left(SIGCONT, "openmpi") == Milliseconds(2000));
  CHECK(left(SIGTERM, "openmpi") == Milliseconds(1000));
  CHECK_FALSE(left(SIGTERM, "openmpi", false));
  CHECK_FALSE(left(SIGUSR1, "openmpi"));
  CHECK(left(SIGTERM, "slurm") == Milliseconds(30'000));
  CHECK_FALSE(left(SIGUSR1, "slurm"));
  CHECK(left(SIGTERM, "torchrun") == Milliseconds(30'000));
  CHECK_FALSE(left(SIGTERM, "mpich"));
  CHECK_FALSE(left(SIGTERM, "alone"));
  environment["OMPI_MCA_odls_base_sigkill_timeout"] = "6";
  CHECK(left(SIGCONT, "openmpi") == Milliseconds(12'000));
  CHECK(left(SIGTERM, "openmpi") == Milliseconds(6000));
}
