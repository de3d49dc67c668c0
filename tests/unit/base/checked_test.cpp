#include "cornstarch/base/checked.h"

#include <limits>

#include "catch.h"

namespace cornstarch {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

TEST_CASE("Overflow is noticed") {
  CHECK(checked_add(2, 3) == 5);
  CHECK(checked_add(kMax, 1) == std::nullopt);
  CHECK(checked_mul(-4, 5) == -20);
  CHECK(checked_mul(kMax / 2, 3) == std::nullopt);
  CHECK(checked_numel({}) == 1);
  CHECK(checked_numel({2, 3, 4}) == 24);
  CHECK(checked_numel({2, -1}) == std::nullopt);
  CHECK(checked_numel({1LL << 32, 1LL << 32}) == std::nullopt);
}

TEST_CASE("Shares are contiguous, cover everything and differ by one at most") {
  for (const std::int64_t n : {0, 1, 5, 7, 64}) {
    for (const std::int64_t parts : {1, 2, 3, 4}) {
      std::int64_t next = 0;
      for (std::int64_t i = 0; i < parts; ++i) {
        const Range range = share(n, parts, i);
        CHECK(range.begin == next);
        CHECK(range.size() >= n / parts);
        CHECK(range.size() <= (n + parts - 1) / parts);
        next = range.end;
      }
      CHECK(next == n);
    }
  }
}

}  // namespace
}  // namespace cornstarch
