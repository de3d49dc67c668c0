#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/models/stage.h"
#include "cornstarch/pipeline/recorder.h"
#include "cornstarch/pipeline/store.h"
#include "cornstarch/plan/activity.h"
#include "cornstarch/plan/feature_route.h"
#include "cornstarch/plan/item_layout.h"
#include "cornstarch/plan/plan.h"
#include "cornstarch/plan/token_layout.h"

namespace cornstarch::pipeline {

/// Where the LLM's tokens of a microbatch lie.
struct PlacedTokens {
  plan::TokenLayout layout;
  /// What this rank's layers take of it, if prepared ahead of time.
  std::optional<models::Tokens> tokens = {};
};

/// What this rank's stages take from the data in one step. Ranks that need none of it leave it empty.
struct StepInputs {
  std::vector<models::Text> text;                       ///< [microbatch]: the LLM's first and last stage
  std::vector<std::vector<plan::ItemLayout>> items;     ///< [encoder][microbatch]: every rank
  std::vector<std::vector<at::Tensor>> media;           ///< [encoder][microbatch]: an encoder's first stage
  std::vector<std::vector<plan::FeatureRoute>> routes;  ///< [encoder][microbatch]: every rank
  /// [encoder][microbatch]: the order in which an encoder's last stage sends its rows, if the LLM's tokens
  /// are split.
  std::vector<std::vector<at::Tensor>> leaving;
  /// [microbatch]: every rank. Only those of the LLM, and of encoders too if its tokens are split, must know
  /// the rows of text.
  std::vector<PlacedTokens> placed;
  /// [microbatch]: nn::RowFacts::counted of the LLM's rows, where its products round.
  std::vector<at::Tensor> counted;
  /// [modality][microbatch]: nn::RowNames::of of this rank's tokens, where adapters drop some of what they
  /// take.
  std::vector<std::vector<at::Tensor>> names;
  std::uint32_t step = 0;
};

/// Sums over this rank's microbatches; zero but on the LLM's last stage.
struct StepSums {
  at::Tensor loss;           ///< of token losses: an fp64 scalar of the stage's device
  std::int64_t targets = 0;  ///< tokens with a label
  std::int64_t answers = 0;  ///< evaluation: samples with targets,
  std::int64_t correct =
      0;  ///< and those whose every target has the largest logit (what greedy decoding would say)
  /// Evaluation: of each row of the replica with a single target, the id with the largest logit there (fp64);
  /// zero where there is none.
  at::Tensor said = {};
  bool dropped =
      false;  ///< this rank did not compute all of it: none of the sums or gradients means anything
};

struct ExecutorOptions {
  models::StageOptions stage;
  StoreOptions store;
  bool shard_values = false;  ///< ZeRO-3: a ModuleStore, for modalities of one stage
  bool cuda_graphs = false;   ///< training replays the layers of a stage where it can
  /// How many microbatches a stage that runs forward only may be ahead of its consumer.
  int run_ahead = 4;
  /// Whether what is under way shall be dropped; asked by each rank for itself, before every module on ranks
  /// that compute alone, before every forward and backward elsewhere. None: never. A rank that drops computes
  /// nothing more, but sends and receives as ever, in zeros; so the others come to their end, too. Ranks
  /// that share layers (tp, sp) agree first: all of these must have been given this, or none.
  std::function<bool()> drops = {};
};

/// Runs one rank's program of the plan's schedule over its stages.
class Executor {
 public:
  /// Builds the stages with their pretrained weights and the process groups; every rank of the plan does so
  /// together.
  Executor(const plan::Plan& plan, const catalog::Modalities& modalities, comm::CommunicatorPtr comm,
           ExecutorOptions options);
  ~Executor();

  /// Forward and backward of every microbatch. Afterwards each segment's gradient is the sum over the global
  /// batch of the token losses' gradients (not yet divided by the number of targets). `reached[m]`:
  /// whether any sample of the global batch reaches modality m; the gradients of one that none reaches stay
  /// zero and are not reduced.
  /// `anyone`: what any replica has to do, by microbatch; values that replicas share make all of them take
  /// part.
  StepSums train(const plan::Activity& activity, const plan::Activity& anyone,
                 const std::vector<bool>& reached, const StepInputs& inputs);
  /// Forward only, with answers counted.
  StepSums evaluate(const plan::Activity& activity, const plan::Activity& anyone, const StepInputs& inputs);

  /// What this rank updates, stage by stage, and the flat memory that holds all of its gradients.
  std::vector<Segment> segments() const;
  std::vector<at::Tensor> gradients() const;
  /// The segments of the modalities that were `reached` have been updated: brings their values to every rank.
  void publish(const std::vector<bool>& reached);

  /// Products that round take new scales from the step behind, if it was `sound`; every rank calls this.
  void rescale(const at::Tensor& sound);
  /// The scales of a stage of this rank; null where its products do not round.
  nn::Fp8Scales* scales(int stage) const;

  /// Where the time of training steps went.
  Recorder& recorder();

  /// Prepares what this rank's layers need for a microbatch to come; any thread may. Nothing on a rank
  /// without a part of the LLM.
  void prepare(PlacedTokens& placed) const;

  /// Makes the values of a module whole on the ranks that hold its stage, which all call it, until drop().
  void hold(int stage, int module);
  void drop(int stage, int module);

  /// A parameter's shard as its updates have it: its masters, whole, or the value where it is its own master
  /// (that must be held). All ranks that keep the parameter together call this, in one order.
  at::Tensor unrounded(int stage, const models::Parameter& parameter) const;

  /// Every parameter of this rank, stage by stage. Values that replicas share are there while held only.
  std::vector<models::Parameter*> parameters();
  /// The parameters of one stage of this rank.
  std::vector<models::Parameter>& stage_parameters(int stage);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornstarch::pipeline
