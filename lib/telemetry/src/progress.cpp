#include "cornstarch/telemetry/progress.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <utility>

#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/telemetry/display.h"

namespace cornstarch::telemetry {
namespace {

using Clock = std::chrono::steady_clock;

/// The innermost that is under way.
std::atomic<Progress*> current{nullptr};

/// In the unit that the larger of the two would take.
std::string format_bytes(std::int64_t done, std::int64_t total) {
  const auto larger = static_cast<double>(std::max(done, total));
  const char* unit = "kB";
  double size = 1e3;
  for (const auto& [name, bytes] : {std::pair{"MB", 1e6}, std::pair{"GB", 1e9}, std::pair{"TB", 1e12}})
    if (larger >= bytes) unit = name, size = bytes;
  char text[64];
  if (total > 0) {
    std::snprintf(text, sizeof text, "%.1f of %.1f %s", static_cast<double>(done) / size,
                  static_cast<double>(total) / size, unit);
  } else {
    std::snprintf(text, sizeof text, "%.1f %s", static_cast<double>(done) / size, unit);
  }
  return text;
}

}  // namespace

std::string format_amount(const std::string& what, std::int64_t done, std::int64_t total,
                          const std::string& unit, double seconds) {
  if (unit.empty()) return cat(what, ": ", format_duration(seconds));
  if (unit == Progress::kBytes) return cat(what, ": ", format_bytes(done, total));
  const std::string of = total > 0 ? " of " + format_count(static_cast<double>(total)) : "";
  return cat(what, ": ", format_count(static_cast<double>(done)), of, " ", unit);
}

Progress::Progress(std::string what, std::int64_t total, std::string unit)
    : Progress(std::move(what), total, std::move(unit), console(), Pace{}) {}

Progress::Progress(std::string what, std::int64_t total, std::string unit, Console& console, Pace pace)
    : what_(std::move(what)), total_(total), unit_(std::move(unit)), console_(console), pace_(pace) {
  if (log::rank() > 0) return;
  outer_ = current.exchange(this);
  watcher_ = std::thread([this] { watch(); });
}

Progress::~Progress() {
  if (!watcher_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  watcher_.join();
  current = outer_;
  if (!spoke_) return;
  console_.show("");
  if (std::uncaught_exceptions() > 0) return;  // what went wrong will be said
  if (Clock::now() - said_ < pace_.silence) return;
  const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
  console_.say(unit_.empty() ? text() : cat(text(), ", ", format_duration(seconds)));
}

void Progress::watch() {
  std::unique_lock lock(mutex_);
  Clock::time_point next_line;
  while (!changed_.wait_for(lock, pace_.redraw, [this] { return ended_; })) {
    if (current != this || (!spoke_ && console_.silence() < pace_.silence)) continue;
    const auto now = Clock::now();
    if (console_.terminal().interactive) {
      console_.show(text());
    } else if (now >= next_line) {
      console_.say(text());
      said_ = now;
      next_line = now + pace_.line;
    }
    spoke_ = true;
  }
}

std::string Progress::text() const {
  const std::chrono::duration<double> passed = Clock::now() - begin_;
  return format_amount(what_, done_, total_, unit_, passed.count());
}

}  // namespace cornstarch::telemetry
