#include "cornstarch/base/result.h"
#include "device.h"

namespace cornstarch::train {

at::Device open_gpu(const launch::LaunchContext&) {
  throw Failure(ExitCode::usage, "this build has no CUDA: it cannot train with device: cuda",
                "set device to cpu, or build with cmake --preset cuda");
}

void want_the_same_bits() {}

void require_precision(at::Device, config::Precision) {}

std::optional<double> peak_flops(at::Device, config::Precision) { return std::nullopt; }

std::string gpu_name(at::Device) { return ""; }

}  // namespace cornstarch::train
