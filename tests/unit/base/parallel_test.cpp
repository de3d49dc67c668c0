#include "cornstarch/base/parallel.h"

#include <atomic>
#include <latch>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "catch.h"

using cornstarch::parallel_for;

TEST_CASE("every index comes once, whatever the number of workers") {
  for (const int workers : {1, 2, 7}) {
    for (const std::size_t n : {0, 1, 2, 100}) {
      std::vector<std::atomic<int>> calls(n);
      parallel_for(n, workers, [&](std::size_t i) { ++calls[i]; });
      for (std::size_t i = 0; i < n; ++i) CHECK(calls[i] == 1);
    }
  }
}

TEST_CASE("workers work at the same time, the caller is one of them") {
  std::latch both(2);  // with fewer threads nobody would get past it
  std::vector<std::thread::id> threads(2);
  parallel_for(2, 2, [&](std::size_t i) {
    threads[i] = std::this_thread::get_id();
    both.arrive_and_wait();
  });
  const auto here = std::this_thread::get_id();
  CHECK(threads[0] != threads[1]);
  CHECK((threads[0] == here || threads[1] == here));
}

TEST_CASE("one worker, or one index, takes no other thread") {
  const auto here = std::this_thread::get_id();
  std::vector<std::size_t> order;
  parallel_for(3, 1, [&](std::size_t i) {
    CHECK(std::this_thread::get_id() == here);
    order.push_back(i);
  });
  CHECK(order == std::vector<std::size_t>{0, 1, 2});
  parallel_for(1, 7, [&](std::size_t) { CHECK(std::this_thread::get_id() == here); });
}

TEST_CASE("the error of the smallest index is thrown, when no call is under way any more") {
  std::latch later(1);  // the smallest fails last
  std::atomic<int> under_way{0};
  const auto fail = [&](std::size_t i) {
    ++under_way;
    if (i == 3) later.wait();
    if (i == 4) later.count_down();
    --under_way;
    if (i >= 3) throw std::runtime_error(std::to_string(i));
  };
  CHECK_THROWS_WITH(parallel_for(100, 7, fail), "3");
  CHECK(under_way == 0);
}

TEST_CASE("nothing begins after an error") {
  int calls = 0;
  const auto fail = [&](std::size_t i) {
    ++calls;
    if (i == 3) throw std::runtime_error("stop");
  };
  CHECK_THROWS_WITH(parallel_for(100, 1, fail), "stop");
  CHECK(calls == 4);
}
