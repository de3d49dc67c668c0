// Preloaded into a program, makes its wall clock jump: every CLOCK_EVERY milliseconds it is set anew, hours
// or days ahead or behind, as by an administrator, or by a host that comes back from a snapshot. Time that
// passes is told as ever.

#include <dlfcn.h>
#include <sys/time.h>

#include <array>
#include <cstdlib>
#include <ctime>

namespace {

constexpr std::array<long, 8> kSettings = {0, 7'200, -7'200, 259'200, -1, -259'200, 31'536'000, -31'536'000};

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

int ask(clockid_t clock, timespec* out) {
  static const auto clock_gettime = real<int(clockid_t, timespec*)>("clock_gettime");
  return clock_gettime(clock, out);
}

timespec real_time(clockid_t clock) {
  timespec now{};
  ask(clock, &now);
  return now;
}

/// What the clock is off by now, in seconds.
long setting() {
  static const char* every = std::getenv("CLOCK_EVERY");
  static const long every_ms = every ? std::atol(every) : 0;
  if (every_ms <= 0) return 0;
  const timespec passed = real_time(CLOCK_MONOTONIC);
  const long ms = passed.tv_sec * 1000 + passed.tv_nsec / 1'000'000;
  return kSettings[static_cast<std::size_t>(ms / every_ms) % kSettings.size()];
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* out) noexcept {
  const int code = ask(clock, out);
  if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) out->tv_sec += setting();
  return code;
}

int gettimeofday(timeval* __restrict out, void* __restrict) noexcept {
  const timespec now = real_time(CLOCK_REALTIME);
  *out = {now.tv_sec + setting(), now.tv_nsec / 1000};
  return 0;
}

time_t time(time_t* out) noexcept {
  const time_t now = real_time(CLOCK_REALTIME).tv_sec + setting();
  if (out) *out = now;
  return now;
}
}
