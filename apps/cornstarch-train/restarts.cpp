#include "restarts.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "console.h"
#include "cornstarch/base/text.h"
#include "cornstarch/checkpoint/checkpoint.h"
#include "cornstarch/config/load.h"

namespace cornstarch::app {

namespace {

constexpr std::array kPassedOn = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};

/// Signals to this process while it minds a child: blocked, so that none is lost between two children.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGCHLD);
    for (const int signal : kPassedOn) {
      struct sigaction action{};
      ::sigaction(signal, nullptr, &action);
      if (action.sa_handler != SIG_IGN) sigaddset(&set_, signal);  // nohup's
    }
    ::sigprocmask(SIG_BLOCK, &set_, &before_);
  }
  ~Signals() { give_back(); }
  void give_back() const { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

  /// Passes on what comes until the child has ended; returns its status.
  int mind(pid_t child) {
    int status = 0;
    while (::waitpid(child, &status, WNOHANG) == 0) {
      siginfo_t info{};
      const int signal = ::sigwaitinfo(&set_, &info);
      if (signal <= 0 || signal == SIGCHLD) continue;
      asked_to_stop_ = true;
      // A terminal sends Ctrl-C to the child, too.
      if (signal != SIGINT || info.si_code <= 0) ::kill(child, signal);
    }
    return status;
  }

  /// So far, or just now.
  bool asked_to_stop() {
    const timespec now{};
    for (int signal = 0; (signal = ::sigtimedwait(&set_, nullptr, &now)) > 0;)
      asked_to_stop_ = asked_to_stop_ || signal != SIGCHLD;
    return asked_to_stop_;
  }

 private:
  sigset_t set_{}, before_{};
  bool asked_to_stop_ = false;
};

/// Exits with what the worker does.
int run_once(const WorkerStart& start, Signals& signals) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0)
    return static_cast<int>(
        complain({ExitCode::device, cat("cannot start the worker: ", std::strerror(errno)), ""}));
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(static_cast<int>(ExitCode::preempted));
    signals.give_back();
    ::_exit(static_cast<int>(complain(become_worker(start))));
  }
  const int status = signals.mind(pid);
  return WIFSIGNALED(status) ? static_cast<int>(ExitCode::signal_base) + WTERMSIG(status)
                             : WEXITSTATUS(status);
}

/// The newest whole checkpoint: its step, and when it was written.
struct Newest {
  std::int64_t step = -1;
  std::filesystem::file_time_type written = {};
  bool operator==(const Newest&) const = default;
};

Newest newest_in(const std::filesystem::path& checkpoints) {
  std::error_code ignored;
  for (const checkpoint::Listed& each : checkpoint::list(checkpoints))
    if (each.manifest)
      return {each.step, std::filesystem::last_write_time(each.path / "manifest.json", ignored)};
  return {};
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
  Signals signals;
  const std::filesystem::path checkpoints = config::checkpoint_folder(config);
  const Newest before = newest_in(checkpoints);  // another run's, maybe
  Newest newest = before;
  for (int without_progress = 0;;) {
    const int code = run_once(start, signals);
    const Newest now = newest_in(checkpoints);
    if (signals.asked_to_stop() || !is_worth_another_try(code)) return code;
    without_progress = now != newest && now.step >= 0 ? 1 : without_progress + 1;
    newest = now;
    const std::string from = now.step < 0 ? "at its first step" : cat("behind step ", now.step);
    if (without_progress > restarts) {
      std::fprintf(stderr, "the run ended with %s, and %d restarts %s brought no newer checkpoint\n",
                   described(code).c_str(), restarts, from.c_str());
      return code;
    }
    std::fprintf(stderr, "the run ended with %s: it starts again %s (restart %d of %d)\n",
                 described(code).c_str(), from.c_str(), without_progress, restarts);
    if (now.step >= 0 && now == before) continue;  // none is this run's: as it was asked for
    config.resume = now.step < 0 ? config::Resume::never : config::Resume::always;
    start.config_yaml = config::dump(config);
    start.overwrite = now.step < 0;  // nothing of it is lost: it is moved aside
  }
}

}  // namespace cornstarch::app
