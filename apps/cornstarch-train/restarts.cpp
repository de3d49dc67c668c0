#include "restarts.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "console.h"
#include "cornstarch/base/text.h"
#include "cornstarch/checkpoint/checkpoint.h"
#include "cornstarch/config/load.h"

namespace cornstarch::app {

namespace {

constexpr std::array kPassedOn = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
std::atomic<pid_t> child{0};
std::atomic<bool> asked_to_stop{false};

void pass_on(int signal) {
  asked_to_stop = true;
  if (child > 0) ::kill(child, signal);
}

/// A terminal sends Ctrl-C to the child, too: that one has heard it.
void note_only(int) { asked_to_stop = true; }

void hear_signals() {
  for (const int signal : kPassedOn) {
    struct sigaction action{};
    ::sigaction(signal, nullptr, &action);
    if (action.sa_handler == SIG_IGN) continue;
    action = {};
    action.sa_handler = signal == SIGINT && ::isatty(STDIN_FILENO) == 1 ? note_only : pass_on;
    ::sigaction(signal, &action, nullptr);
  }
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? static_cast<int>(ExitCode::signal_base) + WTERMSIG(status)
                             : WEXITSTATUS(status);
}

/// Exits with what the worker does.
int run_once(const WorkerStart& start) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0)
    return static_cast<int>(
        complain({ExitCode::device, cat("cannot start the worker: ", std::strerror(errno)), ""}));
  if (pid == 0) {
    for (const int signal : kPassedOn) std::signal(signal, SIG_DFL);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(static_cast<int>(ExitCode::preempted));
    ::_exit(static_cast<int>(complain(become_worker(start))));
  }
  child = pid;
  const int code = wait_for(pid);
  child = 0;
  return code;
}

std::int64_t newest_step(const std::filesystem::path& checkpoints) {
  for (const checkpoint::Listed& each : checkpoint::list(checkpoints))
    if (each.manifest) return each.step;
  return -1;
}

std::string described(int code) {
  const int base = static_cast<int>(ExitCode::signal_base);
  if (code <= base) return cat("exit code ", code);
  const char* name = ::sigabbrev_np(code - base);
  return name == nullptr ? cat("signal ", code - base) : cat("SIG", name);
}

}  // namespace

bool is_worth_another_try(int exit_code) {
  constexpr std::array kComesAgain = {
      ExitCode::ok,         ExitCode::usage,    ExitCode::bad_data, ExitCode::missing_input,
      ExitCode::infeasible, ExitCode::numerics, ExitCode::preempted};
  const int base = static_cast<int>(ExitCode::signal_base);
  for (const int signal : kPassedOn)
    if (exit_code == base + signal) return false;
  return std::ranges::find(kComesAgain, static_cast<ExitCode>(exit_code)) == kComesAgain.end();
}

int run_with_restarts(WorkerStart start, config::RunConfig config, int restarts) {
  const std::filesystem::path checkpoints = config::checkpoint_folder(config);
  hear_signals();
  std::int64_t newest = newest_step(checkpoints);
  for (int without_progress = 0;;) {
    const int code = run_once(start);
    if (asked_to_stop || !is_worth_another_try(code)) return code;
    const std::int64_t now = newest_step(checkpoints);
    without_progress = now > newest ? 1 : without_progress + 1;
    newest = now;
    const std::string from = now < 0 ? "at its first step" : cat("behind step ", now);
    if (without_progress > restarts) {
      std::fprintf(stderr, "the run ended with %s, and %d restarts %s brought no newer checkpoint\n",
                   described(code).c_str(), restarts, from.c_str());
      return code;
    }
    std::fprintf(stderr, "the run ended with %s: it starts again %s (restart %d of %d)\n",
                 described(code).c_str(), from.c_str(), without_progress, restarts);
    config.resume = now < 0 ? config::Resume::never : config::Resume::always;
    start.config_yaml = config::dump(config);
    start.overwrite = now < 0;  // nothing of it is lost: it is moved aside
  }
}

}  // namespace cornstarch::app
