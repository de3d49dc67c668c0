#pragma once

#include <c10/core/Device.h>

namespace cornstarch::train {

/// The most bytes that were in use at once so far: by this process, or on a GPU by its tensors.
double peak_memory_bytes(c10::Device device);

}  // namespace cornstarch::train
