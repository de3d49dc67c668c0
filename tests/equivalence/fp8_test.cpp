// Products that round their operands to fp8, in fp64: what is left of a difference between layouts is that of
// their scales.

#include <cmath>

#include "catch.h"
#include "harness.h"

using namespace cornstarch;
using test::LayoutCase;

namespace {

constexpr auto kPrecision = config::Precision::fp8_in_fp64;

std::vector<LayoutCase> layouts() {
  test::Table table;
  using config::Checkpointing, config::Sharding, config::SpMode;
  using test::clip, test::frozen, test::whisper;
  table.add({}, 1, 1, 2);
  table.add({}, 3, 1, 1).llm_blocks.checkpointing = Checkpointing::full;
  table.add({}, 1, 4, 1).llm_blocks.checkpointing = Checkpointing::selective;
  table.add({clip(2), whisper(1, 2)}, 2, 2, 1);
  auto& tied = table.add({}, 1, 2, 2, "zero1");
  tied.llm = "gqa_tied";
  tied.sharding = Sharding::zero1;
  table.add({clip()}, 1, 1, 2, "zero3").sharding = Sharding::zero3;
  table.add({frozen(clip(2), false, true)}, 2, 1, 2, "few pictures").mix.text_tail = true;
  auto& shared = table.add({clip(2)}, 2, 1, 2, "tokens dealt over tp");
  shared.llm_blocks.tp_sequence_parallel = true;
  auto& ring = table.add({}, 1, 1, 2, "sp4");
  ring.llm_sp = 4;
  ring.mode = SpMode::ring;
  ring.microbatch_size = 1;
  auto& heads = table.add({clip()}, 2, 2, 1, "sp2");
  heads.llm_sp = 2;
  heads.encoders[0].sp = 2;
  table.add({clip()}, 1, 1, 2, "packed").packing = true;
  auto& replicas = table.add({clip()}, 1, 1, 3, "whole replicas");
  replicas.whole_replicas = true;
  return table.take();
}

}  // namespace

TEST_CASE("fp8: every layout rounds as one rank does") {
  for (const LayoutCase& layout : layouts()) {
    const test::Trial trial{layout, config::OptimizerType::adamw, kPrecision};
    INFO(trial.name());
    CHECK(test::differences(test::run_as_threads(trial), trial, false) == std::vector<std::string>{});
  }
}

TEST_CASE("fp8: the first step computes as fp64 does, those behind it nearly") {
  const LayoutCase one = layouts()[3];
  const auto& rounded = test::reference({one, config::OptimizerType::adamw, kPrecision});
  const auto& exact = test::reference({one, config::OptimizerType::adamw, config::Precision::fp64});
  REQUIRE(rounded.losses.size() == 3);
  CHECK(rounded.losses[0] == exact.losses[0]);
  for (const std::size_t step : {1, 2}) {
    const double difference = std::abs(rounded.losses[step] - exact.losses[step]);
    CAPTURE(difference, exact.losses[step]);
    CHECK(difference > 1e-6 * exact.losses[step]);
    CHECK(difference < 1e-2 * exact.losses[step]);
  }
}
