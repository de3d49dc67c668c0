#include "cornstarch/optim/lr_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace cornstarch::optim {

double learning_rate(const config::LrSchedule& schedule, double peak, std::int64_t step, std::int64_t total) {
  if (step < schedule.warmup_steps)
    return peak * static_cast<double>(step) / static_cast<double>(schedule.warmup_steps);
  const double span = static_cast<double>(std::max<std::int64_t>(1, total - schedule.warmup_steps));
  const double done = std::min(1.0, static_cast<double>(step - schedule.warmup_steps) / span);
  double left = 1.0;
  if (schedule.type == config::LrScheduleType::linear) left = 1.0 - done;
  if (schedule.type == config::LrScheduleType::cosine) left = 0.5 * (1.0 + std::cos(std::numbers::pi * done));
  return peak * (schedule.min_lr_ratio + (1.0 - schedule.min_lr_ratio) * left);
}

}  // namespace cornstarch::optim
