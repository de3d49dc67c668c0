#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cornstarch/models/stage.h"

namespace cornstarch::pipeline {

struct Answers {
  std::int64_t given = 0;    ///< samples with a target
  std::int64_t correct = 0;  ///< those where every target has the largest logit
  at::Tensor said;  ///< [samples] fp64: of one with a single target, the id with the largest logit there
};

/// Of the microbatch, whose targets may lie on several ranks of the context-parallel group `sp`; the same on
/// each. Greedy decoding gives exactly the labelled answer iff, fed with that answer, the model ranks each of
/// its tokens first; so one forward pass tells.
Answers grade(models::Stage& last, const at::Tensor& hidden, const models::Text& text, comm::Group& sp);

}  // namespace cornstarch::pipeline
