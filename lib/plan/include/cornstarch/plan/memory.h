#pragma once

#include "cornstarch/plan/plan.h"

namespace cornstarch::plan {

/// What ranks hold from the first step to the last, in bytes. Activations come on top.
struct HeldBytes {
  double parameters = 0;
  double gradients = 0;
  double optimizer = 0;  ///< moments, and fp32 masters of bf16 parameters
  double total() const { return parameters + gradients + optimizer; }
};

HeldBytes held_bytes(const config::RunConfig& config, const catalog::Modalities& modalities, const Plan& plan,
                     int rank);

/// Of all ranks that the plan has on one node.
HeldBytes node_bytes(const config::RunConfig& config, const catalog::Modalities& modalities, const Plan& plan,
                     int node);

/// "9 GiB (parameters 3 GiB, gradients 3 GiB, optimizer state 3 GiB)"
std::string describe(const HeldBytes& held);

/// What of the config would need less on the node, each with what it would need then:
/// "sharding: zero3 (4 GiB)"; empty if nothing is known.
std::vector<std::string> ways_to_hold_less(const config::RunConfig& config,
                                           const catalog::Modalities& modalities, const Plan& plan, int node);

}  // namespace cornstarch::plan
