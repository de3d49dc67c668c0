#pragma once

#include <c10/core/Device.h>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/config/run_config.h"
#include "cornstarch/plan/plan.h"

namespace cornstarch::train {

/// The most bytes that were in use at once so far: by this process, or on a GPU by its tensors.
double peak_memory_bytes(c10::Device device);

/// What a rank holds on its device from the first step to the last, in bytes. Activations come on top.
struct HeldBytes {
  double parameters = 0;
  double gradients = 0;
  double optimizer = 0;  ///< moments, and fp32 masters of bf16 parameters
  double total() const { return parameters + gradients + optimizer; }
};
HeldBytes held_bytes(const config::RunConfig& config, const catalog::Modalities& modalities,
                     const plan::Plan& plan, int rank);

/// Throws Failure (infeasible) with the numbers unless the rank's GPU has that much free. Of a CPU nothing is
/// asked.
void require_memory(const HeldBytes& held, c10::Device device, int rank);

}  // namespace cornstarch::train
