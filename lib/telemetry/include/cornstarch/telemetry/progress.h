#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "cornstarch/base/console.h"

namespace cornstarch::telemetry {

/// Says what takes long while it is under way:
///
///     telemetry::Progress reading("reading weights of llm", bytes, telemetry::Progress::kBytes);
///     for (...) reading.add(n);                       // any thread; costs an addition
///
///     const telemetry::Progress opening("opening tokenizer.json");        // nothing to count
///     telemetry::Progress indexing("indexing train.jsonl", samples, "samples");   // 0: nobody knows how
///     many
///
/// Nothing is said until nobody has said anything for a second. Then a terminal has a line that is redrawn,
/// anything else a line every ten seconds, and both a last one, unless it would follow within a second:
/// "reading weights of llm: 3.1 of 15.0 GB". Of ranks but 0 (log::set_rank) nothing. Where one begins inside
/// of another, the inner one speaks. The text begins with a verb in -ing and fits half a line.
class Progress {
 public:
  static constexpr const char* kBytes = "bytes";

  struct Pace {
    std::chrono::milliseconds silence{1'000}, redraw{100}, line{10'000};
  };

  explicit Progress(std::string what, std::int64_t total = 0, std::string unit = {});
  Progress(std::string what, std::int64_t total, std::string unit, Console& console, Pace pace);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();

  void add(std::int64_t n) { done_.fetch_add(n, std::memory_order_relaxed); }

 private:
  void watch();
  std::string text() const;

  std::string what_;
  std::int64_t total_;
  std::string unit_;
  Console& console_;
  Pace pace_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now(), said_ = begin_;
  std::atomic<std::int64_t> done_{0};
  Progress* outer_ = nullptr;
  bool spoke_ = false;
  bool ended_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread watcher_;  ///< on rank 0 only
};

/// "reading weights of llm: 3.1 of 15.0 GB", "indexing train.jsonl: 120k of 665k samples", "opening
/// tokenizer.json: 2.10s".
std::string format_amount(const std::string& what, std::int64_t done, std::int64_t total,
                          const std::string& unit, double seconds);

}  // namespace cornstarch::telemetry
