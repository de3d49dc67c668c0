#include "loss_window.h"

#include <cmath>
#include <limits>

#include "catch.h"

using namespace cornstarch;
using train::LossWindow;

namespace {

constexpr double kNone = std::numeric_limits<double>::infinity();

/// With steps `first`, ..., whose losses are their numbers.
LossWindow of_steps(std::int64_t first, std::int64_t count) {
  LossWindow out;
  for (std::int64_t step = first; step < first + count; ++step) out.add(step, static_cast<double>(step));
  return out;
}

/// Of `count` whole numbers that follow each other, the standard deviation.
double deviation(double count) { return std::sqrt((count * count - 1) / 12); }

}  // namespace

TEST_CASE("A loss is held against those until two steps before, once there are twenty") {
  const LossWindow window = of_steps(0, 30);
  CHECK(window.limit(20, 3) == kNone);
  CHECK(window.limit(21, 3) == Approx(9.5 + 3 * deviation(20)));
  CHECK(window.limit(30, 0) == Approx(14));  // 0 to 28
  CHECK(window.limit(31, 2) == Approx(14.5 + 2 * deviation(30)));
}

TEST_CASE("Whether the newest loss is known when a step is judged makes no difference") {
  LossWindow late = of_steps(0, 150), early = late;
  early.add(150, 150);
  CHECK(early.limit(151, 4) == late.limit(151, 4));
  CHECK(late.limit(151, 4) == Approx(99.5 + 4 * deviation(100)));  // 50 to 149
}

TEST_CASE("What is written of a window is read again bit by bit") {
  LossWindow window;
  for (int step = 0; step < 120; ++step)
    if (step % 7 != 0) window.add(step, std::exp(-step / 10.0) / 3);
  const LossWindow again = LossWindow::of(window.text());
  CHECK(again == window);
  CHECK(again.limit(121, 2.5) == window.limit(121, 2.5));
  CHECK(of_steps(7, 2).text() == "7:7 8:8");
  CHECK(LossWindow::of("") == LossWindow());
  CHECK(LossWindow::of("7:7 8:nan 9:9").text() == "7:7");
  CHECK(LossWindow::of("7:7 x").text() == "7:7");
}
