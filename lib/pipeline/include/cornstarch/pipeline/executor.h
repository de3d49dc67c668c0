#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/models/stage.h"
#include "cornstarch/plan/activity.h"
#include "cornstarch/plan/plan.h"

namespace cornstarch::pipeline {

/// What this rank's stages take from the data in one step. Ranks that need none of it leave it empty.
struct StepInputs {
  std::vector<models::Text> text;  ///< [microbatch]: the LLM's first and last stage
  std::vector<std::vector<at::Tensor>>
      media;  ///< [encoder][microbatch] of [n, ...]: an encoder's first stage
};

/// Sums over this rank's microbatches; zero but on the LLM's last stage.
struct StepSums {
  double loss = 0;           ///< of token losses
  std::int64_t targets = 0;  ///< tokens with a label
  std::int64_t answers = 0;  ///< evaluation: samples with targets,
  std::int64_t correct =
      0;  ///< and those whose every target has the largest logit (what greedy decoding would say)
};

struct ExecutorOptions {
  models::StageOptions stage;
  std::int64_t bucket_bytes = std::int64_t{16} << 20;
  /// How many microbatches a stage that runs forward only may be ahead of its consumer.
  int run_ahead = 4;
};

/// Runs one rank's program of the plan's schedule over its stages.
class Executor {
 public:
  /// Builds the stages and the process groups; every rank of the plan does so together.
  Executor(const plan::Plan& plan, const catalog::Modalities& modalities, comm::CommunicatorPtr comm,
           ExecutorOptions options);
  ~Executor();

  /// Forward and backward of every microbatch. Afterwards each trainable parameter's grad is the sum over the
  /// global batch of the token losses' gradients (not yet divided by the number of targets). `reached[m]`:
  /// whether any sample of the global batch reaches modality m; the gradients of one that none reaches stay
  /// zero and are not reduced.
  StepSums train(const plan::Activity& activity, const std::vector<bool>& reached, const StepInputs& inputs);
  /// Forward only, with answers counted.
  StepSums evaluate(const plan::Activity& activity, const StepInputs& inputs);

  /// Every parameter of this rank, stage by stage.
  std::vector<models::Parameter*> parameters();
  /// The flat buffers that hold all gradients.
  std::vector<at::Tensor> gradient_buckets() const;
  /// The parameters of one stage of this rank.
  std::vector<models::Parameter>& stage_parameters(int stage);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornstarch::pipeline
