#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "cornstarch/base/checked.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/checkpoint/checkpoint.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/config/run_config.h"
#include "cornstarch/dataio/dataset.h"
#include "cornstarch/models/stage.h"
#include "cornstarch/models/weights.h"
#include "cornstarch/pipeline/executor.h"
#include "cornstarch/plan/plan.h"
#include "cornstarch/telemetry/metrics.h"

namespace cornstarch::train {

/// What a run is made of. Everything but `comm` and what it observes is the same on every rank.
struct Setup {
  const config::RunConfig& config;
  const catalog::Modalities& modalities;
  const plan::Plan& plan;
  comm::CommunicatorPtr comm;
  const dataio::Dataset& train_data;
  const dataio::Dataset* eval_data = nullptr;
  std::int64_t bucket_bytes = std::int64_t{16} << 20;
  std::optional<Range> traced_steps = {};  ///< from 0, end excluded: write_trace() gives their timelines
  at::Device device = at::kCPU;            ///< of this rank
  std::optional<double> peak_flops =
      {};  ///< of each rank's device, a second; where known, steps say their MFU
  /// Whether the step under way is to be dropped, see pipeline::ExecutorOptions; default: where it would
  /// outlast the launcher's patience.
  std::function<bool()> drops = {};
  std::string version = {};                 ///< of the program, for checkpoints
  std::set<std::int64_t> answer_ends = {};  ///< tokens that end an answer and are no part of it
  int report_lag = 0;  ///< steps begun before a step's report is read: with 1, no host waits for its GPU
};

/// How the steps of a run ended.
struct Ending {
  int signal = 0;        ///< that ended it early, or 0
  bool dropped = false;  ///< the step under way was dropped, since the launcher would not wait for it
};

/// What the model says to a held-out question.
struct HeldOutAnswer {
  std::int64_t sample = 0;
  std::vector<std::int64_t> ids = {};
  bool cut_off = false;  ///< for want of room, or after config.eval.generate_tokens
};

/// Called as the run goes, on every rank (records are the same everywhere; the caller writes on rank 0).
struct Observer {
  std::function<void(const telemetry::StepRecord&)> on_step;
  std::function<void(const telemetry::EvalRecord&)> on_eval;
  /// Before on_eval of the same step, with config.eval.generate.
  std::function<void(std::int64_t step, const std::vector<HeldOutAnswer>&)> on_answers = {};
  /// After the gradients of a step are reduced, scaled and clipped, before the update.
  std::function<void(std::int64_t step, const std::vector<pipeline::Segment>&)> on_gradients;
  /// On the host, in a thread of its own, before the state of a checkpoint is copied beside the next step.
  std::function<void()> on_copy = {};
};

class Trainer {
 public:
  /// Builds this rank's stages and loads pretrained weights; every rank does so together.
  Trainer(const Setup& setup, Observer observer);
  ~Trainer();

  /// Goes on where a checkpoint's run was; before run(). Throws Failure (bad_data) where it cannot be read:
  /// then the state is no longer whole, and another has to be restored. Once all ranks have restored one, all
  /// of them publish() it.
  void restore(checkpoint::Checkpoint& from);
  void publish();
  /// Saves the state as the last complete step left it, if the run has no checkpoint of that step; returns
  /// whether there is a whole one then; why there is none has been said. Every rank calls it.
  bool save();

  /// Trains for config.steps steps, with evaluations as configured, or until any rank is asked to stop or
  /// drops a step, which then no rank updates for.
  Ending run();
  /// Complete, updates included.
  int steps_done() const;

  /// Loss and answer accuracy on the first config.eval.max_samples held-out samples, and answers to the first
  /// config.eval.generate of these: greedy, the same in every layout. Not observed, and of no meaning, if any
  /// rank was asked to stop meanwhile.
  telemetry::EvalRecord evaluate(std::int64_t step);

  /// The whole tensors of a modality on the rank that holds its first stage's first shard in replica 0; empty
  /// on all others. Every rank calls it. `dtype`: as the parameters have it, or, unrounded, any other.
  std::optional<std::vector<models::NamedTensor>> gather(int modality, at::ScalarType dtype);

  at::ScalarType dtype() const;  ///< of the parameters

  /// Writes the timelines of the traced steps, of all ranks; every rank calls it.
  void write_trace(const std::filesystem::path& path);

  std::vector<models::Parameter*> parameters();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornstarch::train
