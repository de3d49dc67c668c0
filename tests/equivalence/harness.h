#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cornstarch/comm/communicator.h"
#include "cornstarch/models/stage.h"
#include "layouts.h"

namespace cornstarch::test {

/// One cell of the suite: a layout, trained for three steps.
struct Trial {
  LayoutCase layout;
  config::OptimizerType optimizer = config::OptimizerType::sgd;
  config::Precision precision = config::Precision::fp64;
  double lr = 0;  ///< 0: what suits the optimizer

  std::string name() const;
};

/// Both optimizers in fp64, and in fp32 the one that has more to round.
std::vector<Trial> trials_of(const LayoutCase& layout);

/// A run's numbers with every tensor put together from its shards, in fp64.
struct Outcome {
  std::vector<double> losses, norms, eval_loss, eval_accuracy;
  std::vector<std::int64_t> targets, tokens, eval_samples;
  std::map<std::string, at::Tensor> gradients, parameters;
  std::map<std::string, at::Tensor> unrounded;  ///< of bf16 runs: the parameters as their masters have them
  std::map<std::string, std::int64_t> covered;  ///< elements of each parameter that replica 0's ranks hold
  std::size_t whole_bytes = 0;                  ///< of values that are whole on a rank after the last step
  double replica_difference = 0;                ///< between shards that different ranks hold alike
  std::vector<std::string> disorder;            ///< of collectives, and groups that are not the plan's
};

/// Runs ranks of a trial. `single`: one rank holds everything.
class Run {
 public:
  Run(const Trial& trial, bool single);
  ~Run();
  const plan::Plan& plan() const;
  /// Adds this rank's shards to `outcome`, which ranks of one process share; `records`: the losses too, which
  /// are the same on every rank.
  void rank(const comm::CommunicatorPtr& comm, Outcome& outcome, bool records);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The trial with every rank a thread.
Outcome run_as_threads(const Trial& trial);

/// What one rank computes; shared by layouts of the same model and batch.
const Outcome& reference(const Trial& trial);

/// What differs from one rank by more than rounding explains, one line each, measured against
/// max(max|reference|, 1e-3 x RMS of all gradients or parameters). In fp64, rounding to fp8 or not: by more
/// than 1e-9 of that. In
/// narrower types every processor rounds in its own way, so what they may differ by is measured, too: an
/// error against the reference in fp64 may be four times the largest that one rank has in the same type, and
/// eight of its roundings. `partial`: this process holds only some of the shards, so elements that no rank of
/// it has set are passed over.
std::vector<std::string> differences(const Outcome& got, const Trial& trial, bool partial);

}  // namespace cornstarch::test
