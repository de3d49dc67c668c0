#include "cornstarch/launch/stop.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <initializer_list>

#include "cornstarch/base/exit_codes.h"

namespace cornstarch::launch {
namespace {

static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may use only lock-free atomics");
std::atomic<int> requested{0};
std::atomic<int> interrupts{0};

void on_signal(int signal) {
  if (signal == SIGINT && interrupts.fetch_add(1) > 0)
    _exit(static_cast<int>(ExitCode::signal_base) + SIGINT);
  int none = 0;
  requested.compare_exchange_strong(none, signal);
}

}  // namespace

void install_stop_handlers() {
  struct sigaction action{};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
}

int stop_requested() { return requested.load(); }

}  // namespace cornstarch::launch
