#include "cornstarch/base/random.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>

#include "catch.h"
#include "cornstarch/base/normal_draw.h"

namespace cornstarch {
namespace {

using Block = std::array<std::uint32_t, 4>;

TEST_CASE("Philox4x32-10 gives the known answers of Random123") {
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  CHECK(Philox(0).block(0) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const std::uint64_t key = 0x0123456789abcdef;
  CHECK(Philox(key).block(0xfedcba9876543210) ==
        philox4x32({0x76543210, 0xfedcba98, 0, 0}, {0x89abcdef, 0x01234567}));
}

TEST_CASE("Draws are uniform and normal, and a pure function of the index") {
  const Philox random(7, "some.weight");
  constexpr int kDraws = 100000;
  double sum = 0, normal_sum = 0, square_sum = 0, fourth_sum = 0, pair_sum = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = random.uniform(i);
    REQUIRE(u >= 0.0);
    REQUIRE(u < 1.0);
    sum += u;
    const double x = random.normal(i);
    normal_sum += x;
    square_sum += x * x;
    fourth_sum += x * x * x * x;
    pair_sum += x * random.normal(i + 1);
  }
  CHECK(sum / kDraws == Approx(0.5).margin(0.005));
  CHECK(normal_sum / kDraws == Approx(0.0).margin(0.02));
  CHECK(square_sum / kDraws == Approx(1.0).margin(0.02));
  CHECK(fourth_sum / kDraws == Approx(3.0).margin(0.15));
  CHECK(pair_sum / kDraws == Approx(0.0).margin(0.02));
  CHECK(random.normal(12345) == Philox(7, "some.weight").normal(12345));
  CHECK(random.uniform(5) != random.uniform(4));
}

TEST_CASE("Normal draws have the same bits everywhere, and are those of the C library to a unit or two") {
  const Philox random(0x0123456789abcdef);
  CHECK(random.normal(0) == -0x1.b4048b5357ef4p+0);
  CHECK(random.normal(1) == 0x1.d80b2d7cd6becp-3);
  CHECK(random.normal(10) == 0x1.9252e229c91d8p+0);
  CHECK(random.normal(11) == -0x1.eb578b5f534d3p-1);
  CHECK(log_of_unit(1) == std::log(0x1p-53));
  CHECK(log_of_unit(std::uint64_t{1} << 53) == 0);
  CHECK(cos_sin(0) == std::array<double, 2>{1, 0});
  for (std::uint64_t i = 0; i < 100000; ++i) {
    const auto block = random.block(i);
    const double radius = std::sqrt(-2 * std::log(1 - static_cast<double>(bits53(block, 0)) * 0x1p-53));
    const double angle = 2 * std::numbers::pi * (static_cast<double>(bits53(block, 1)) * 0x1p-53);
    const auto pair = normal_pair(block);
    REQUIRE(std::abs(pair[0] - radius * std::cos(angle)) <= 1e-15 * radius);
    REQUIRE(std::abs(pair[1] - radius * std::sin(angle)) <= 1e-15 * radius);
  }
}

TEST_CASE("Every name and every seed has its own stream, the same on every machine") {
  CHECK(Philox(1, "a").block(0) != Philox(1, "b").block(0));
  CHECK(Philox(1, "a").block(0) != Philox(2, "a").block(0));
  CHECK(Philox(1234, "model.embed_tokens.weight").block(0) ==
        Block{0x13a1e851, 0x53ff9e26, 0x531ada92, 0x7bbb8afd});
}

TEST_CASE("A permutation holds every index once and depends on seed and epoch") {
  for (const std::int64_t n : {0, 1, 2, 1000}) {
    std::vector<std::int64_t> p = permutation(n, 5, 0);
    std::sort(p.begin(), p.end());
    std::vector<std::int64_t> all(static_cast<std::size_t>(n));
    std::iota(all.begin(), all.end(), 0);
    CHECK(p == all);
  }
  CHECK(permutation(100, 5, 0) == permutation(100, 5, 0));
  CHECK(permutation(100, 5, 0) != permutation(100, 5, 1));
  CHECK(permutation(100, 5, 0) != permutation(100, 6, 0));
  CHECK(permutation(8, 1234, 0) == std::vector<std::int64_t>{2, 5, 3, 4, 1, 6, 7, 0});
}

TEST_CASE("All permutations of three are equally likely") {
  std::array<int, 27> seen{};
  for (std::uint64_t epoch = 0; epoch < 6000; ++epoch) {
    const auto p = permutation(3, 1, epoch);
    ++seen[static_cast<std::size_t>(9 * p[0] + 3 * p[1] + p[2])];
  }
  CHECK(std::count(seen.begin(), seen.end(), 0) == 21);
  for (const int n : seen) {
    if (n > 0) CHECK(n == Approx(1000).margin(130));
  }
}

}  // namespace
}  // namespace cornstarch
