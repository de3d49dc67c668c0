#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "cornstarch/checkpoint/checkpoint.h"
#include "cornstarch/optim/optimizer.h"
#include "cornstarch/pipeline/store.h"

namespace cornstarch::train {

/// A piece of the state where it is: 1-D, on the rank's device.
struct StateTensor {
  checkpoint::Piece piece;
  at::Tensor value;
};

/// What decides the future of the segments, by global name: "parameter/llm/<name>" (masters, where values are
/// roundings of them), "first_moment/..." and "second_moment/...". What several ranks hold is
/// shared among them.
std::vector<StateTensor> state_of(const std::vector<pipeline::Segment>& segments,
                                  const std::vector<optim::Optimizer::Moments>& moments);

/// Writes a checkpoint's state into the segments, converted to their types. A parameter that it does not have
/// keeps its value and begins without moments. Throws Failure (bad_data).
void restore(checkpoint::Checkpoint& from, const std::vector<pipeline::Segment>& segments,
             const std::vector<optim::Optimizer::Moments>& moments);

}  // namespace cornstarch::train
