#include "cornstarch/dataio/prefetch.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

#include "catch.h"
#include "cornstarch/base/text.h"

using cornstarch::cat;
using cornstarch::dataio::Prefetcher;
using cornstarch::dataio::Reading;

namespace {

/// The exit code of a process that does this, for what a process does once.
template <class F>
int in_a_process(F f) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(f());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Reads what never comes.
int read_for_ever(const std::string& what) {
  int ends[2];
  if (::pipe(ends) != 0) return 0;
  const Reading reading(what);
  char c = 0;
  return static_cast<int>(::read(ends[0], &c, 1));
}

}  // namespace

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

TEST_CASE("a reading that hangs is an error that names it, and no end waits for it") {
  const auto begun = std::chrono::steady_clock::now();
  CHECK(in_a_process([] {
          using namespace std::chrono_literals;
          Prefetcher<int> prefetcher(
              [](std::int64_t step) {
                if (step < 2) {
                  const Reading quick("train.jsonl:1");
                  return static_cast<int>(step);
                }
                return read_for_ever("train.jsonl:12: 'seven.png'");
              },
              0, 10, 1, 0.3s);
          if (prefetcher.next() != 0 || prefetcher.next() != 1) return 1;
          try {
            prefetcher.next();
          } catch (const cornstarch::Failure& failure) {
            const cornstarch::Error& error = failure.error();
            return error.code == cornstarch::ExitCode::io &&
                           error.message ==
                               "train.jsonl:12: 'seven.png': reading it has taken more than 0.3 s "
                               "(deadlines.data)" &&
                           error.help == "does the file system that it lies on still answer?"
                       ? 0
                       : 2;
          }
          return 3;
        }) == 0);
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));
}

TEST_CASE("what was abandoned never comes back to what it read into") {
  CHECK(in_a_process([] {
          using namespace std::chrono_literals;
          int ends[2];
          if (::pipe(ends) != 0) return 1;
          auto room = std::make_unique<int>(7);
          std::atomic<bool> came_back{false};
          {
            Prefetcher<int> prefetcher(
                [&](std::int64_t) {
                  {
                    const Reading reading("a picture");
                    char c = 0;
                    (void)!::read(ends[0], &c, 1);
                  }
                  came_back = true;
                  return *room;
                },
                0, 1, 1, 0.1s);
            std::this_thread::sleep_for(0.2s);
          }
          if (::write(ends[1], "x", 1) != 1) return 2;
          std::this_thread::sleep_for(0.2s);
          return came_back ? 3 : 0;
        }) == 0);
}

TEST_CASE("with a deadline, too, slow work that goes on is waited for") {
  using namespace std::chrono_literals;
  std::atomic<int> begun{0}, made{0};
  const auto make = [&](std::int64_t step) {
    ++begun;
    for (int i = 0; i < 10; ++i) {
      const Reading reading(cat("item ", i));
      std::this_thread::sleep_for(60ms);
    }
    ++made;
    return static_cast<int>(step);
  };
  {
    Prefetcher<int> prefetcher(make, 0, 3, 1, 0.5s);
    CHECK(prefetcher.next() == 0);
    CHECK(prefetcher.next() == 1);
    while (begun < 3) std::this_thread::sleep_for(1ms);
  }
  CHECK(made == 3);
  CHECK_FALSE(Reading::oldest());
}
