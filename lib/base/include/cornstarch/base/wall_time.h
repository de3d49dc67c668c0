#pragma once

#include <chrono>

namespace cornstarch {

/// Seconds since 1970, as the wall clock had them when this process first asked, and from then on by a clock
/// that nobody sets: what is measured holds whatever becomes of the wall clock, and times of several hosts
/// fit together as well as their clocks do.
inline double wall_time_s() {
  using std::chrono::steady_clock;
  using std::chrono::system_clock;
  static const std::chrono::duration<double> since_1970 =
      system_clock::now().time_since_epoch() - steady_clock::now().time_since_epoch();
  const std::chrono::duration<double> steady = steady_clock::now().time_since_epoch();
  return (since_1970 + steady).count();
}

}  // namespace cornstarch
