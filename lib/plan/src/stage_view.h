#pragma once

#include <string>
#include <vector>

#include "cornstarch/plan/plan.h"

namespace cornstarch::plan {

/// What is shown of a stage, as a table or as JSON.
struct StageView {
  std::vector<std::vector<int>> ranks;  ///< one list for each replica
  std::vector<int> nodes;
  std::int64_t params_per_rank = 0;             ///< of the rank that has most
  std::vector<std::string> trains, frozen;      ///< modules with parameters that can train
  std::vector<std::string> used, not_computed;  ///< modules
};

/// Of the rank that has most of a stage: elements of all parameters, of those that train, and of the matrices
/// of blocks. A tied parameter counts once on a stage that holds both.
struct StageElements {
  std::int64_t all = 0, training = 0, matrices = 0;
};
StageElements elements_of(const StagePlan& stage, const catalog::Modality& modality, int tp);

/// Of every stage, in order.
std::vector<StageView> stage_views(const Plan& plan, const catalog::Modalities& modalities);

/// The ranks of each node.
std::vector<std::vector<int>> ranks_by_node(const Plan& plan);

}  // namespace cornstarch::plan
