#include "cornstarch/launch/stop.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#include "cornstarch/base/console.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/words.h"

namespace cornstarch::launch {
namespace {

using Clock = std::chrono::steady_clock;

/// Some senders (timeout) signal a process and then its group: what follows so soon is the same signal.
constexpr Milliseconds kSameSignal{100};

std::atomic<int> requested{0};
std::atomic<bool> waits{false};
std::atomic<bool> killed{false};                 ///< whether a kill may follow a signal
std::atomic<Clock::duration::rep> finish_at{0};  ///< since the clock's epoch; 0: nobody waits

std::string name_of(int signal) { return cat("SIG", ::sigabbrev_np(signal)); }

/// Open MPI's mpirun: between SIGCONT and SIGTERM, and again until SIGKILL.
Milliseconds mpirun_waits(const GetEnv& get_env) {
  for (const char* name : {"OMPI_MCA_odls_base_sigkill_timeout", "PRTE_MCA_odls_base_sigkill_timeout"})
    if (const auto value = get_env(name)) return Milliseconds(1000L * std::atol(value->c_str()));
  return Milliseconds(1000);
}

/// For processes that a launcher started through a script.
bool is_launcher(pid_t process) {
  std::string name;
  std::getline(std::ifstream(cat("/proc/", process, "/comm")), name);
  static const std::set<std::string> launchers = {"mpirun",  "mpiexec", "orterun",   "orted",
                                                  "prterun", "prted",   "slurmstepd"};
  return launchers.count(name) > 0;
}

class Listener {
 public:
  Listener(LaunchContext launch, std::optional<Milliseconds> grace)
      : launch_(std::move(launch)), grace_(grace), parent_(::getppid()) {}

  [[noreturn]] void listen(const sigset_t& signals) {
    while (true) {
      siginfo_t info{};
      const int signal = ::sigwaitinfo(&signals, &info);
      if (signal > 0) hear(signal, info.si_pid == parent_ || is_launcher(info.si_pid));
    }
  }

 private:
  void hear(int signal, bool from_launcher) {
    if (signal == SIGCONT && !from_launcher) return;  // somebody had stopped this process
    const auto now = Clock::now();
    if (signal == SIGINT && interrupted_ && now - *interrupted_ > kSameSignal) end(signal);
    if (signal == SIGINT && !interrupted_) interrupted_ = now;
    const bool first = requested == 0;
    const auto left =
        grace_ ? grace_ : time_until_killed(signal, from_launcher, launch_, process_environment);
    if (left && (first || grace_ == std::nullopt)) hurry(now + *left / 2);
    if (!first) return;
    // mpirun's first signal stands for the SIGTERM that follows it.
    requested = signal == SIGCONT ? SIGTERM : signal;
    say(signal, left);
    if (!waits) end(requested);
  }

  static void hurry(Clock::time_point until) {
    const auto at = until.time_since_epoch().count();
    if (finish_at == 0 || at < finish_at) finish_at = at;
  }

  void say(int signal, std::optional<Milliseconds> left) const {
    if (launch_.rank != 0) return;
    const std::string heard =
        signal == SIGCONT ? "mpirun begins to end this run" : cat(name_of(signal), " received");
    if (!waits) return console().say(cat(heard, ": nothing has been trained yet, ending at once"));
    std::string then = "the step under way is finished, then the state is saved";
    if (left) {
      then = cat("killed in ", describe_duration(*left),
                 ": a step that would take too long is dropped, then the state is saved");
    }
    console().say(cat(heard, ": ", then, signal == SIGINT ? "; Ctrl-C again ends at once" : ""));
    if (signal == SIGCONT && !grace_)
      console().say("  help: mpirun --mca odls_base_sigkill_timeout 60 leaves it 120 s");
  }

  [[noreturn]] static void end(int signal) { ::_exit(static_cast<int>(ExitCode::signal_base) + signal); }

  LaunchContext launch_;
  std::optional<Milliseconds> grace_;
  pid_t parent_;
  std::optional<Clock::time_point> interrupted_;
};

bool is_ignored(int signal) {
  struct sigaction action{};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

std::optional<Milliseconds> time_until_killed(int signal, bool from_launcher, const LaunchContext& launch,
                                              const GetEnv& get_env) {
  if (!from_launcher) return std::nullopt;
  if (launch.source == "openmpi") {
    if (signal == SIGCONT) return 2 * mpirun_waits(get_env);
    if (signal == SIGTERM) return mpirun_waits(get_env);
  }
  // Slurm's KillWait, of which a job does not know, and torchrun's timeout: their defaults.
  if ((launch.source == "slurm" || launch.source == "torchrun") && signal == SIGTERM)
    return Milliseconds(30'000);
  return std::nullopt;
}

void hear_signals(const LaunchContext& launch, std::optional<Milliseconds> grace) {
  std::signal(SIGPIPE, SIG_IGN);
  const bool launched = launch.source == "openmpi" || launch.source == "slurm" || launch.source == "torchrun";
  killed = grace.has_value() || launched;
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&signals, signal);
  if (!is_ignored(SIGHUP)) sigaddset(&signals, SIGHUP);
  if (launch.source == "openmpi") sigaddset(&signals, SIGCONT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals, listener = Listener(launch, grace)]() mutable { listener.listen(signals); }).detach();
}

bool may_be_killed() { return killed; }

void stops_wait() { waits = true; }

int stop_requested() { return requested; }

std::optional<Clock::time_point> finish_by() {
  const auto at = finish_at.load();
  if (at == 0) return std::nullopt;
  return Clock::time_point(Clock::duration(at));
}

}  // namespace cornstarch::launch
