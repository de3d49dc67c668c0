#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cornstarch/comm/communicator.h"
#include "cornstarch/models/stage.h"

namespace cornstarch::pipeline {

/// A parameter that trains and the ranks over which its gradient is summed.
struct Reduced {
  models::Parameter* parameter = nullptr;
  comm::GroupPtr group;
};

/// Sums gradients over replicas while backward still runs. Gradients live in flat buckets, filled from the
/// last parameter of the stage to the first as backward reaches them; a bucket is on its way as soon as all
/// of it is there. Buckets leave in one fixed order on every rank, whatever each rank's microbatches contain.
class GradientReducer {
 public:
  GradientReducer(const std::vector<Reduced>& parameters, std::int64_t bucket_bytes);
  ~GradientReducer();

  /// Zeroes the gradients: the step begins.
  void start_step();
  /// From now on, a bucket leaves when its last gradient has been added: the step's last backward begins.
  void last_backward();
  /// Sends what has not left and waits for all of it.
  void finish();
  /// The flat buckets, for scaling.
  const std::vector<at::Tensor>& buckets() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornstarch::pipeline
