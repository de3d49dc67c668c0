#include "draw.h"

#include <ATen/ops/empty.h>

#include "cornstarch/base/checked.h"
#include "gpu.h"

using namespace cornstarch;

TEST_CASE("normal draws have the same bits on the GPU and on the CPU", "[cuda]") {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    // All of it, a slice that begins within a run, and one element.
    for (const Range elements : {Range{0, 99 * 1000}, Range{777, 45678}, Range{98999, 99000}}) {
      for (const models::Runs& runs : {models::Runs{1000, 0, 1000}, models::Runs{333, 5, 1000}}) {
        const at::Tensor cpu = at::empty({elements.size()}, type);
        const at::Tensor gpu = at::empty({elements.size()}, at::TensorOptions(at::kCUDA).dtype(type));
        for (const at::Tensor& out : {cpu, gpu})
          models::draw_normal(0x1234567890, runs, elements.begin, 0.02, out);
        CAPTURE(type, elements.begin, runs.length);
        CHECK(gpu.cpu().equal(cpu));
      }
    }
  }
}
