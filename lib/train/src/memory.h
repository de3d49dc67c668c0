#pragma once

#include <c10/core/Device.h>

#include "cornstarch/plan/memory.h"

namespace cornstarch::train {

/// The most bytes that were in use at once so far: by this process, or on a GPU by its tensors.
double peak_memory_bytes(c10::Device device);

/// Throws Failure (infeasible) with the numbers unless the rank's GPU has that much free. Of a CPU it is
/// asked before any worker starts, for all ranks of a host together.
void require_memory(const plan::HeldBytes& held, c10::Device device, int rank);

}  // namespace cornstarch::train
