#include "cornstarch/optim/lr_schedule.h"

#include "catch.h"

using namespace cornstarch;
using optim::learning_rate;

TEST_CASE("warm-up begins at 0 and reaches the peak at the step behind it, as Hugging Face's") {
  config::LrSchedule schedule;
  schedule.warmup_steps = 4;
  CHECK(learning_rate(schedule, 1.0, 0, 10) == 0.0);
  CHECK(learning_rate(schedule, 1.0, 1, 10) == 0.25);
  CHECK(learning_rate(schedule, 1.0, 3, 10) == 0.75);
  CHECK(learning_rate(schedule, 1.0, 4, 10) == 1.0);
  CHECK(learning_rate(schedule, 1.0, 9, 10) == 1.0);
}

TEST_CASE("a line ends at the floor") {
  config::LrSchedule schedule{config::LrScheduleType::linear, 2, 0.1};
  CHECK(learning_rate(schedule, 2.0, 2, 12) == 2.0);
  CHECK(learning_rate(schedule, 2.0, 7, 12) == Approx(2.0 * (0.1 + 0.9 * 0.5)));
  CHECK(learning_rate(schedule, 2.0, 12, 12) == Approx(0.2));
}

TEST_CASE("half a cosine") {
  config::LrSchedule schedule{config::LrScheduleType::cosine, 0, 0.0};
  CHECK(learning_rate(schedule, 1.0, 0, 8) == 1.0);
  CHECK(learning_rate(schedule, 1.0, 2, 8) == Approx(0.8535533905932737));
  CHECK(learning_rate(schedule, 1.0, 4, 8) == Approx(0.5));
  CHECK(learning_rate(schedule, 1.0, 8, 8) == Approx(0.0).margin(1e-15));
}
