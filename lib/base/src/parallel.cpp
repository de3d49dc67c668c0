#include "cornstarch/base/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace cornstarch {

void parallel_for(std::size_t n, int workers, const std::function<void(std::size_t)>& f) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::size_t failed = n;
  std::exception_ptr error;
  const auto work = [&] {
    for (std::size_t i = next++; i < n; i = next++) {
      try {
        f(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (i < failed) error = std::current_exception();
        failed = std::min(failed, i);
        next = n;  // every smaller i has begun
      }
    }
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t w = 1; w < std::min(n, static_cast<std::size_t>(workers)); ++w)
      others.emplace_back(work);
    work();
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace cornstarch
