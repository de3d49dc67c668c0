#include "cornstarch/nn/dropout.h"

#include <ATen/ops/empty_like.h>

#include "gpu.h"

using namespace cornstarch;

TEST_CASE("the GPU drops what the CPU drops", "[cuda]") {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kDouble})
    for (const auto& [rows, size, first] : std::vector<std::tuple<std::int64_t, std::int64_t, std::int64_t>>{
             {1, 1, 0}, {3, 7, 2}, {5, 64, 8}, {301, 4097, 3}, {2048, 512, 0}}) {
      CAPTURE(type, rows, size, first);
      const at::Tensor x = noise({rows, size}, 1).to(type);
      const at::Tensor names = (noise({rows}, 2) * 1e15).to(at::kLong).abs();
      const nn::Dropout dropout{0x1234567890abcdef, 0.3, first};
      const at::Tensor cpu = nn::drop(x, dropout, {names, 5});
      const at::Tensor gpu = nn::drop(x.to(at::kCUDA), dropout, {names.to(at::kCUDA), 5});
      CHECK(gpu.cpu().equal(cpu));
    }
}
