#include "cornstarch/dataio/reading.h"

#include <unistd.h>

#include <mutex>
#include <utility>

#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

using Clock = std::chrono::steady_clock;

struct Register {
  std::mutex mutex;
  std::list<Reading::Entry> entries;  ///< the oldest first
  bool abandoned = false;

  /// To be left only by those whose readings still count.
  std::unique_lock<std::mutex> enter() {
    std::unique_lock lock(mutex);
    if (!abandoned) return lock;
    lock.unlock();
    while (true) ::pause();
  }
};

Register& everything() {
  // Never destroyed: threads may read while the program ends.
  static Register& instance = *new Register;
  return instance;
}

}  // namespace

Reading::Reading(std::string what) {
  const auto lock = everything().enter();
  auto& entries = everything().entries;
  entry_ = entries.insert(entries.end(), {std::move(what), Clock::now()});
}

Reading::~Reading() {
  const auto lock = everything().enter();
  everything().entries.erase(entry_);
}

std::optional<Reading::Entry> Reading::oldest() {
  const std::lock_guard lock(everything().mutex);
  const auto& entries = everything().entries;
  return entries.empty() ? std::nullopt : std::optional(entries.front());
}

void Reading::require_progress(std::chrono::duration<double> deadline) {
  const auto entry = oldest();
  if (!entry || Clock::now() - entry->since < deadline) return;
  throw Failure(
      ExitCode::io,
      cat(entry->what, ": reading it has taken more than ", deadline.count(), " s (deadlines.data)"),
      "does the file system that it lies on still answer?");
}

void Reading::abandon_all() {
  const std::lock_guard lock(everything().mutex);
  everything().abandoned = true;
}

}  // namespace cornstarch::dataio
