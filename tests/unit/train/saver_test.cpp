#include "saver.h"

#include <ATen/ops/ones.h>
#include <unistd.h>

#include "catch.h"
#include "peak_memory.h"

using namespace cornstarch;
using namespace cornstarch::train;

TEST_CASE("Who waits for a checkpoint needs no second copy of the state") {
  std::string name = (std::filesystem::temp_directory_path() / "cornstarch-saver-XXXXXX").string();
  const std::filesystem::path folder = ::mkdtemp(name.data());
  constexpr std::int64_t n = 16 << 20;
  const std::vector<StateTensor> state = {
      {{"parameter/llm/a", formats::DType::f32, {{n}, -1, {}, {0, n}}}, at::ones({n})}};
  const auto peak = [&](bool waits) {
    return test::peak_memory_of([&] {
      Saver saver({folder}, 0, at::kCPU);
      saver.begin({}, state, waits);
      return saver.wait() == Saver::Part::written;
    });
  };
  CHECK(peak(false) - peak(true) > n * 4 * 3 / 4);
  std::filesystem::remove_all(folder);
}
