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
  comm::GroupPtr sp;  ///< the ranks of this replica that hold other tokens
  models::Stage module;
  std::vector<Stored> stored;    ///< what the store keeps, and with whom
  std::unique_ptr<Store> store;  ///< null where nothing trains and nothing is shared
  std::vector<int> seams_in;     ///< indices into the plan's seams, in order
  int seam_out = -1;
  std::map<int, models::Tokens> item_tokens;  ///< of an encoder with sp > 1, by number of items
};

/// Builds a stage with its pretrained weights and the groups of ranks that share its work; all ranks that
/// hold a part of it do so together.
HeldStage hold_stage(const plan::Plan& plan, const catalog::Modalities& modalities,
                     const comm::CommunicatorPtr& comm, const plan::Part& part,
                     const ExecutorOptions& options);

}  // namespace cornstarch::pipeline
