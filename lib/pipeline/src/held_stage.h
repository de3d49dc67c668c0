#pragma once

#include <map>
#include <memory>
#include <vector>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/models/stage.h"
#include "cornstarch/pipeline/executor.h"
#include "cornstarch/pipeline/store.h"
#include "cornstarch/plan/plan.h"

namespace cornstarch::pipeline {

/// One of a rank's stages.
struct HeldStage {
  int stage = 0;
  int cp = 0;
  comm::GroupPtr sp;                    ///< the ranks of this replica that hold other tokens
  std::vector<comm::GroupPtr> holders;  ///< one after the other they reach all ranks of the stage
  models::Stage module;
  std::vector<Stored> stored;    ///< what the store keeps, and with whom
  std::unique_ptr<Store> store;  ///< null where nothing trains and nothing is shared
  std::vector<int> seams_in;     ///< indices into the plan's seams, in order
  int seam_out = -1;
  /// Of an encoder, by what items they are.
  std::map<std::vector<catalog::Extents>, models::Tokens> item_tokens;
};

/// A rank's groups, by what they are for and whose stage's work it is.
using Groups = std::map<std::pair<plan::Purpose, int>, comm::GroupPtr>;

/// Makes those of the plan's groups that this rank belongs to; every rank of the plan does so together.
Groups make_groups(const plan::Plan& plan, comm::Communicator& comm);

/// Builds a stage with its pretrained weights.
HeldStage hold_stage(const plan::Plan& plan, const catalog::Modalities& modalities, const Groups& groups,
                     const plan::Part& part, const ExecutorOptions& options);

}  // namespace cornstarch::pipeline
