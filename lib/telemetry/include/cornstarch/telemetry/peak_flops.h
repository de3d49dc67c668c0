#pragma once

#include <optional>
#include <string_view>

namespace cornstarch::telemetry {

/// What a GPU's matrix units do at most with bfloat16, dense, in floating-point operations a second, by the
/// name that its driver gives it (NVIDIA's data sheets). Nothing for one that is not listed.
std::optional<double> bf16_peak_flops(std::string_view gpu);

}  // namespace cornstarch::telemetry
