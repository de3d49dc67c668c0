#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "cornstarch/comm/communicator.h"

namespace cornstarch::train {

/// What a rank of a stage adds to the means over that stage.
struct Times {
  double ranks = 0, compute = 0, bubble = 0, communication = 0, peak_memory = 0;
};

/// What every rank adds to at the end of a step, in one reduction.
struct Report {
  double loss = 0, targets = 0, squared_norm = 0, tokens = 0, token_pairs = 0, visible_pairs = 0;
  double signals = 0, stoppers = 0;  ///< the numbers of signals that asked ranks to stop, and how many ranks
  std::vector<Times> previous;       ///< per stage: of the step before
  std::vector<double> next_bad;      ///< samples of the next step that some rank could not read

  /// Begins the sum over `world`; `loss` and `squared_norm`, scalars of the device, take part where they are.
  /// Nothing here waits for a GPU. Of the sums [n] fp64, the first three are those of the first three
  /// members.
  at::Tensor start(comm::Group& world, at::Device device, const at::Tensor& sum_of_losses = {},
                   const at::Tensor& own_squared_norm = {});
  /// Waits for the sums and takes them over.
  void read(const at::Tensor& sums);

 private:
  std::vector<double*> fields();
};

}  // namespace cornstarch::train
