#include "cornstarch/telemetry/peak_flops.h"

#include <array>

namespace cornstarch::telemetry {
namespace {

struct Peak {
  std::string_view part;  ///< of the name; the first that fits counts
  double tflops;
};

constexpr std::array peaks = {
    Peak{"A100", 312},     Peak{"A800", 312},  Peak{"H100 PCIe", 756}, Peak{"H100 NVL", 835},
    Peak{"H100", 989},     Peak{"H800", 989},  Peak{"H200", 989},      Peak{"GH200", 989},
    Peak{"GB200", 2500},   Peak{"B200", 2250}, Peak{"L40S", 362},      Peak{"L40", 181},
    Peak{"RTX 4090", 165}, Peak{"A6000", 155}, Peak{"A40", 150},       Peak{"A10", 125}};

}  // namespace

std::optional<double> bf16_peak_flops(std::string_view gpu) {
  for (const Peak& peak : peaks)
    if (gpu.find(peak.part) != std::string_view::npos) return peak.tflops * 1e12;
  return std::nullopt;
}

}  // namespace cornstarch::telemetry
