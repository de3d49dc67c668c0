#pragma once

#include <cstdint>

#include "cornstarch/config/run_config.h"

namespace cornstarch::optim {

/// The learning rate of step `step` (from 0) of `total`, as transformers' get_*_schedule_with_warmup have it:
/// from 0 in a line to `peak` at step warmup_steps, then constant, or down towards min_lr_ratio x peak, where
/// step `total` would be, along a line or half a cosine (Loshchilov & Hutter, "SGDR", 2017, without
/// restarts).
double learning_rate(const config::LrSchedule& schedule, double peak, std::int64_t step, std::int64_t total);

}  // namespace cornstarch::optim
