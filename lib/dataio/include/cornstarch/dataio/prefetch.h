#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "cornstarch/base/result.h"

namespace cornstarch::dataio {

/// Makes what the next steps need on a thread of its own, at most `depth` steps ahead.
///
///     Prefetcher<Batch> batches([&](std::int64_t step) { return load(step); }, first, last, 2);
///     for (std::int64_t step = first; step < last; ++step) train(batches.next());
///
/// What the function throws is thrown by the next() of that step and of all later ones; nothing is made after
/// it. The destructor waits for the step that is being made.
template <class T>
class Prefetcher {
 public:
  using Make = std::function<T(std::int64_t step)>;

  /// Steps begin, begin + 1, ..., end - 1.
  Prefetcher(Make make, std::int64_t begin, std::int64_t end, int depth)
      : make_(std::move(make)), end_(end), depth_(depth < 1 ? 1 : depth), next_(begin) {
    worker_ = std::thread([this, begin] { run(begin); });
  }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;
  ~Prefetcher() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    room_.notify_all();
    worker_.join();
  }

  /// The value of the next step, in order; waits until it is made. For one caller at a time.
  T next() {
    std::unique_lock lock(mutex_);
    if (next_ >= end_)
      throw Failure(ExitCode::internal, "the prefetcher was asked for more steps than it makes");
    ready_.wait(lock, [this] { return !made_.empty() || error_; });
    if (made_.empty()) std::rethrow_exception(error_);
    T value = std::move(made_.front());
    made_.pop_front();
    ++next_;
    lock.unlock();
    room_.notify_one();
    return value;
  }

 private:
  void run(std::int64_t begin) {
    for (std::int64_t step = begin; step < end_; ++step) {
      {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [this] { return stopped_ || std::ssize(made_) < depth_; });
        if (stopped_) return;
      }
      if (!make_one(step)) return;
    }
  }

  bool make_one(std::int64_t step) {
    std::exception_ptr error;
    std::optional<T> value;
    try {
      value.emplace(make_(step));
    } catch (...) {
      error = std::current_exception();
    }
    {
      const std::lock_guard lock(mutex_);
      if (error) {
        error_ = error;
      } else {
        made_.push_back(std::move(*value));
      }
    }
    ready_.notify_one();
    return !error;
  }

  const Make make_;
  const std::int64_t end_;
  const std::int64_t depth_;
  std::mutex mutex_;
  std::condition_variable ready_, room_;
  std::deque<T> made_;
  std::exception_ptr error_;
  std::int64_t next_;
  bool stopped_ = false;
  std::thread worker_;
};

}  // namespace cornstarch::dataio
