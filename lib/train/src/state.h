#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "cornstarch/checkpoint/checkpoint.h"
#include "cornstarch/nn/fp8.h"
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

/// The scales of a stage of a modality: "fp8_scales/llm/<weight>", those of its input, its own, and those of
/// its output's gradient. One of the stage's ranks saves them.
std::vector<StateTensor> state_of(const std::string& modality, const nn::Fp8Scales& scales);
/// Those that the checkpoint does not have are none.
void restore(checkpoint::Checkpoint& from, const std::string& modality, nn::Fp8Scales& scales);

}  // namespace cornstarch::train
