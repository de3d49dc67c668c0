#pragma once

#include <c10/core/Device.h>

#include <optional>
#include <string>

#include "cornstarch/config/run_config.h"
#include "cornstarch/launch/environment.h"

namespace cornstarch::train {

/// The GPU of this process, that of its local rank, ready for use and current in this thread: float32 is
/// computed as such (no TF32). Throws Failure (device, launch) where there is no GPU for it, the driver is
/// too old, or this build or LibTorch has no code for the GPU.
at::Device open_gpu(const launch::LaunchContext& launch);

/// What GPUs that are opened from now on compute is the same in every run, to the bit.
void want_the_same_bits();

/// Throws Failure (device) where the device cannot compute in a precision.
void require_precision(at::Device device, config::Precision precision);

/// What the device does at most in a precision, in floating-point operations a second, where that is known.
std::optional<double> peak_flops(at::Device device, config::Precision precision);

/// As its driver calls it.
std::string gpu_name(at::Device device);

inline at::Device open_device(config::Device device, const launch::LaunchContext& launch) {
  return device == config::Device::cuda ? open_gpu(launch) : at::Device(at::kCPU);
}

}  // namespace cornstarch::train
