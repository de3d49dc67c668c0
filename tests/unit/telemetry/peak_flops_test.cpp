#include "cornstarch/telemetry/peak_flops.h"

#include "catch.h"

using cornstarch::telemetry::bf16_peak_flops;

TEST_CASE("A GPU's peak is found by the name that its driver gives it") {
  CHECK(bf16_peak_flops("NVIDIA H100 80GB HBM3") == 989e12);
  CHECK(bf16_peak_flops("NVIDIA H100 PCIe") == 756e12);
  CHECK(bf16_peak_flops("NVIDIA H200") == 989e12);
  CHECK(bf16_peak_flops("NVIDIA A100-SXM4-80GB") == 312e12);
  CHECK_FALSE(bf16_peak_flops("NVIDIA GeForce GTX 1080").has_value());
}
