#include "saver.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>

#include <filesystem>

#include "catch.h"
#include "peak_memory.h"
#include "temporary_folder.h"

using namespace cornstarch;
using namespace cornstarch::train;

#ifndef __SANITIZE_THREAD__  // peak_memory_of() tells nothing there
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
#endif

TEST_CASE("Who is taken down gives up what it writes") {
  const test::TemporaryFolder folder;
  constexpr std::int64_t n = 64 << 20;
  const std::vector<StateTensor> state = {
      {{"parameter/llm/a", formats::DType::f32, {{n}, -1, {}, {0, n}}}, at::ones({n})}};
  Saver({folder.path()}, 0, at::kCPU).begin({}, state, true);
  CHECK_FALSE(std::filesystem::exists(checkpoint::partial_folder(folder.path(), 0) / "rank-00000.json"));
}

TEST_CASE("Who waits for what it writes hears of another rank's failure meanwhile") {
  const test::TemporaryFolder folder;
  constexpr std::int64_t n = 64 << 20;
  const std::vector<StateTensor> state = {
      {{"parameter/llm/a", formats::DType::f32, {{n}, -1, {}, {0, n}}}, at::ones({n})}};
  SaverOptions options{folder.path()};
  options.check = [] { throw Failure(ExitCode::peer_failed, "stopped because rank 1 failed: disk full"); };
  {
    Saver saver(options, 0, at::kCPU);
    saver.begin({}, state, true);
    CHECK_THROWS_WITH(saver.wait(), "stopped because rank 1 failed: disk full");
  }
  CHECK_FALSE(std::filesystem::exists(checkpoint::partial_folder(folder.path(), 0) / "rank-00000.json"));
}

TEST_CASE("What is saved is the state as it was, whatever becomes of it once it is copied") {
  const test::TemporaryFolder folder;
  constexpr std::int64_t n = 16 << 20;
  const at::Tensor value = at::ones({n});
  const std::vector<StateTensor> state = {
      {{"parameter/llm/a", formats::DType::f32, {{n}, -1, {}, {0, n}}}, value}};
  Saver saver({folder.path()}, 0, at::kCPU);
  for (std::int64_t step = 1; step <= 2; ++step) {
    value.fill_(static_cast<double>(step));
    checkpoint::Manifest manifest;
    manifest.step = step;
    saver.begin(manifest, state, false);
    saver.finish_copying();
    value.fill_(7);
    REQUIRE(saver.wait() == Saver::Part::written);
    saver.conclude(true);
    saver.settle();
    auto saved = checkpoint::Checkpoint::open(checkpoint::whole_folder(folder.path(), step));
    REQUIRE(saved);
    const at::Tensor read = at::empty({n});
    REQUIRE(saved->read("parameter/llm/a", plan::whole({n}),
                        {static_cast<std::byte*>(read.mutable_data_ptr()), read.nbytes()}));
    CHECK(at::equal(read, at::full({n}, static_cast<double>(step))));
  }
}
