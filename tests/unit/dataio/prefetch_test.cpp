#include "cornstarch/dataio/prefetch.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

#include "catch.h"

using cornstarch::dataio::Prefetcher;

TEST_CASE("values come in order, made on another thread") {
  const auto here = std::this_thread::get_id();
  std::atomic<bool> elsewhere{true};
  Prefetcher<std::string> prefetcher(
      [&](std::int64_t step) {
        if (std::this_thread::get_id() == here) elsewhere = false;
        return std::to_string(step);
      },
      3, 103, 4);
  for (int step = 3; step < 103; ++step) CHECK(prefetcher.next() == std::to_string(step));
  CHECK(elsewhere);
  CHECK_THROWS_WITH(prefetcher.next(), "the prefetcher was asked for more steps than it makes");
}

TEST_CASE("no more than depth steps are made ahead") {
  std::atomic<int> made{0};
  Prefetcher<int> prefetcher([&](std::int64_t) { return ++made; }, 0, 1000, 3);
  for (int taken = 1; taken <= 20; ++taken) {
    CHECK(prefetcher.next() == taken);
    CHECK(made <= taken + 4);  // 3 waiting, and one that may be under way when this reads
  }
}

TEST_CASE("an error reaches the caller at its step, and stays") {
  std::atomic<int> calls{0};
  Prefetcher<int> prefetcher(
      [&](std::int64_t step) -> int {
        ++calls;
        if (step == 2) throw std::runtime_error("step 2 is broken");
        return static_cast<int>(step);
      },
      0, 10, 8);
  CHECK(prefetcher.next() == 0);
  CHECK(prefetcher.next() == 1);
  CHECK_THROWS_WITH(prefetcher.next(), "step 2 is broken");
  CHECK_THROWS_WITH(prefetcher.next(), "step 2 is broken");
  CHECK(calls == 3);
}

TEST_CASE("values that can only be moved") {
  Prefetcher<std::unique_ptr<int>> prefetcher([](std::int64_t s) { return std::make_unique<int>(s); }, 0, 2,
                                              1);
  CHECK(*prefetcher.next() == 0);
  CHECK(*prefetcher.next() == 1);
}

TEST_CASE("destruction stops a prefetcher that is ahead, at work, or at its end") {
  for (int i = 0; i < 50; ++i) {
    Prefetcher<int> ahead([](std::int64_t s) { return static_cast<int>(s); }, 0, 1 << 30, 2);
    if (i % 2 == 0) CHECK(ahead.next() == 0);
    Prefetcher<int> at_work(
        [](std::int64_t s) {
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
          return static_cast<int>(s);
        },
        0, 1 << 30, 100);
    Prefetcher<int> at_end([](std::int64_t s) { return static_cast<int>(s); }, 0, 0, 2);
  }
}
