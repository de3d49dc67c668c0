#pragma once

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

namespace cornstarch::test {

/// Counts the bytes of the tensors that this thread allocates and frees from now on.
class MemoryMeter {
 public:
  MemoryMeter() = default;
  /// Counts with a meter of another thread: what one thread allocates another may free.
  explicit MemoryMeter(const MemoryMeter& other) : counter_(other.counter_) {}

  std::int64_t now() const { return counter_->now; }
  std::int64_t peak() const { return counter_->peak; }

 private:
  struct Counter : c10::MemoryReportingInfoBase {
    void reportMemoryUsage(void*, std::int64_t size, std::size_t, std::size_t, c10::Device) override {
      now += size;  // negative where memory is freed
      peak = std::max(peak.load(), now.load());
    }
    bool memoryProfilingEnabled() const override { return true; }
    std::atomic<std::int64_t> now = 0, peak = 0;
  };

  std::shared_ptr<Counter> counter_ = std::make_shared<Counter>();
  c10::DebugInfoGuard guard_{c10::DebugInfoKind::PROFILER_STATE, counter_};
};

}  // namespace cornstarch::test
