#pragma once

#include <string>
#include <vector>

#include "cornstarch/plan/plan.h"

/// Tensor-parallel groups talk most: where one spans nodes, and what would keep it inside of one.
namespace cornstarch::plan {

/// The tp groups whose ranks are on several nodes.
std::vector<std::vector<int>> crossing_groups(const Plan& plan);

/// One change of a run after which no tp group spans nodes; what is empty or 0 stays.
struct Mend {
  std::vector<std::string> order = {};  ///< of the encoders' declaration
  std::string modality = {};            ///< whose tp becomes `tp`
  int tp = 0;
  int dp = 0;
  int gpus_per_node = 0;
  int world_size = 0;  ///< after the change
};

/// Of each kind of change the smallest that keeps all tp groups inside, if there is one.
std::vector<Mend> mends(const Plan& plan, const catalog::Modalities& modalities);

}  // namespace cornstarch::plan
