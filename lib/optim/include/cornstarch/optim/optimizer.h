#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cornstarch/config/run_config.h"
#include "cornstarch/models/stage.h"

namespace cornstarch::optim {

/// The squared L2 norm of this rank's share of the gradient: parameters that other ranks hold too count on
/// one of them only, so the sum over all ranks of one replica is the whole model's.
double squared_norm(const std::vector<models::Parameter*>& parameters);

/// AdamW (Loshchilov & Hutter, "Decoupled weight decay regularization", 2019) or SGD with momentum, both as
/// PyTorch computes them. Weight decay applies to parameters of two or more dimensions: not to biases and
/// norms.
class Optimizer {
 public:
  /// Keeps state for the parameters that train, nothing for the others.
  Optimizer(const config::Optimizer& config, const std::vector<models::Parameter*>& parameters);
  ~Optimizer();

  /// One update with the gradients in place. Parameters of the modalities in `untouched` (no sample of the
  /// global batch reached them) and their state stay as they are.
  void step(double lr, const std::set<std::string>& untouched = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornstarch::optim
