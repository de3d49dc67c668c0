#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cornstarch/config/run_config.h"
#include "cornstarch/pipeline/store.h"

namespace cornstarch::optim {

/// The squared L2 norm of this rank's share of the gradient: what several ranks hold counts on one of them,
/// so the sum over all ranks is the whole model's. An fp64 scalar of their device; undefined where none
/// counts.
at::Tensor squared_norm(const std::vector<pipeline::Segment>& segments);

/// AdamW (Loshchilov & Hutter, "Decoupled weight decay regularization", 2019) or SGD with momentum, both as
/// PyTorch computes them. Weight decay, and what share of the learning rate counts, are the parameter's
/// (catalog::ParamSpec).
class Optimizer {
 public:
  /// What it keeps for a segment, in its shape: AdamW both, SGD with momentum the first; undefined otherwise.
  struct Moments {
    at::Tensor first, second;
  };

  /// Keeps state for these segments, nothing else.
  Optimizer(const config::Optimizer& config, const std::vector<pipeline::Segment>& segments);
  ~Optimizer();

  /// Whether step() can multiply gradients by a factor on its way.
  bool scales() const;

  /// One update with the gradients in place, times `scale`, a scalar of the device, where it is given.
  /// Segments of the modalities in `untouched` (no sample of the global batch reached them) and their state
  /// stay as they are; all of them where `sound`, a bool scalar of the device, is false.
  void step(double lr, const std::set<std::string>& untouched, const at::Tensor& sound,
            const at::Tensor& scale = {});

  /// In the order of the segments. Whoever restores a state writes into them.
  const std::vector<Moments>& moments() const;
  /// Goes on as if each modality had had so many updates; 0 where it is not named.
  void resume(const std::map<std::string, std::int64_t>& updates);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornstarch::optim
