#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "cornstarch/base/result.h"
#include "cornstarch/dataio/reading.h"

namespace cornstarch::dataio {

/// Makes what the next steps need on a thread of its own, at most `depth` steps ahead.
///
///     Prefetcher<Batch> batches([&](std::int64_t step) { return load(step); }, first, last, 2);
///     for (std::int64_t step = first; step < last; ++step) train(batches.next());
///
/// What the function throws is thrown by the next() of that step and of all later ones; nothing is made after
/// it. The destructor waits for the step that is being made; with a deadline, not for a Reading that hangs.
template <class T>
class Prefetcher {
 public:
  using Make = std::function<T(std::int64_t step)>;
  using Seconds = std::chrono::duration<double>;

  /// Steps begin, begin + 1, ..., end - 1. `deadline`: how long one Reading may take.
  Prefetcher(Make make, std::int64_t begin, std::int64_t end, int depth, std::optional<Seconds> deadline = {})
      : work_(std::make_shared<Work>()), deadline_(deadline), next_(begin), end_(end) {
    work_->make = std::move(make);
    work_->end = end;
    work_->depth = depth < 1 ? 1 : depth;
    worker_ = std::thread([work = work_, begin] { work->run(begin); });
  }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;
  ~Prefetcher() {
    std::unique_lock lock(work_->mutex);
    work_->stopped = true;
    work_->room.notify_all();
    while (deadline_ && !work_->ready.wait_for(lock, kLook, [this] { return work_->ended; })) {
      const auto oldest = Reading::oldest();
      if (!oldest || std::chrono::steady_clock::now() - oldest->since < std::min(*deadline_, kPatience))
        continue;
      Reading::abandon_all();
      worker_.detach();
      return;
    }
    lock.unlock();
    worker_.join();
  }

  /// The value of the next step, in order; waits until it is made. For one caller at a time. Throws Failure
  /// (io) where a Reading takes longer than the deadline.
  T next() {
    if (next_ >= end_)
      throw Failure(ExitCode::internal, "the prefetcher was asked for more steps than it makes");
    std::unique_lock lock(work_->mutex);
    const auto is_ready = [this] { return !work_->made.empty() || work_->error; };
    if (!deadline_) work_->ready.wait(lock, is_ready);
    while (!is_ready() && !work_->ready.wait_for(lock, kLook, is_ready))
      Reading::require_progress(*deadline_);
    if (work_->made.empty()) std::rethrow_exception(work_->error);
    T value = std::move(work_->made.front());
    work_->made.pop_front();
    ++next_;
    lock.unlock();
    work_->room.notify_one();
    return value;
  }

 private:
  /// How often it is looked whether a reading hangs, and how long the end waits for one that does.
  static constexpr Seconds kLook{0.1}, kPatience{10};

  /// What the worker touches: it may outlive the prefetcher.
  struct Work {
    Make make;
    std::int64_t end = 0, depth = 1;
    std::mutex mutex;
    std::condition_variable ready, room;
    std::deque<T> made;
    std::exception_ptr error;
    bool stopped = false, ended = false;

    void run(std::int64_t begin) {
      for (std::int64_t step = begin; step < end && waits_for_room() && make_one(step); ++step) {
      }
      const std::lock_guard lock(mutex);
      ended = true;
      ready.notify_one();
    }

    bool waits_for_room() {
      std::unique_lock lock(mutex);
      room.wait(lock, [this] { return stopped || std::ssize(made) < depth; });
      return !stopped;
    }

    bool make_one(std::int64_t step) {
      std::exception_ptr failed;
      std::optional<T> value;
      try {
        value.emplace(make(step));
      } catch (...) {
        failed = std::current_exception();
      }
      const std::lock_guard lock(mutex);
      if (failed) {
        error = failed;
      } else {
        made.push_back(std::move(*value));
      }
      ready.notify_one();
      return !failed;
    }
  };

  const std::shared_ptr<Work> work_;
  const std::optional<Seconds> deadline_;
  std::int64_t next_;
  const std::int64_t end_;
  std::thread worker_;
};

}  // namespace cornstarch::dataio
