#include "saver.h"

#include <ATen/ops/ones.h>

#include <filesystem>

#include "catch.h"
#include "peak_memory.h"
#include "temporary_folder.h"

using namespace cornstarch;
using namespace cornstarch::train;

TEST_CASE("Who waits for a checkpoint needs no second copy of the state") {
  const test::TemporaryFolder folder;
  constexpr std::int64_t n = 16 << 20;
  const std::vector<StateTensor> state = {
      {{"parameter/llm/a", formats::DType::f32, {{n}, -1, {}, {0, n}}}, at::ones({n})}};
  const auto peak = [&](bool waits) {
    return test::peak_memory_of([&] {
      Saver saver({folder.path()}, 0, at::kCPU);
      saver.begin({}, state, waits);
      return saver.wait() == Saver::Part::written;
    });
  };
  CHECK(peak(false) - peak(true) > n * 4 * 3 / 4);
}

TEST_CASE("Who is taken down gives up what it writes") {
  const test::TemporaryFolder folder;
  constexpr std::int64_t n = 64 << 20;
  const std::vector<StateTensor> state = {
      {{"parameter/llm/a", formats::DType::f32, {{n}, -1, {}, {0, n}}}, at::ones({n})}};
  Saver({folder.path()}, 0, at::kCPU).begin({}, state, true);
  CHECK_FALSE(std::filesystem::exists(checkpoint::partial_folder(folder.path(), 0) / "rank-00000.json"));
}
