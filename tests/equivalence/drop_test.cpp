// A step that any rank drops leaves every rank with the parameters that the step before left.

#include <ATen/ops/equal.h>

#include <map>
#include <mutex>
#include <random>

#include "catch.h"
#include "cornstarch/train/trainer.h"
#include "layouts.h"

using namespace cornstarch;

namespace {

using Parameters = std::map<std::string, at::Tensor>;

struct Dropping {
  int step = 0;                  ///< from 0: the one that is dropped
  std::vector<int> after_asked;  ///< by rank: how often it is asked in that step before it drops; -1: never
};

struct Ended {
  Parameters parameters;
  int steps_done = 0;
  bool dropped = false;
};

/// Trains until `dropping` or config.steps end it.
Ended run(const config::RunConfig& config, const test::LayoutCase& layout, const Dropping* dropping,
          int report_lag = 0) {
  const catalog::Modalities modalities = test::resolve_or_throw(config);
  const plan::Plan plan = value_or_throw(plan::make_plan(config, modalities, test::world_size(layout)));
  const test::SyntheticDataset data(modalities, config.batch.sequence_length, layout.mix);
  Ended out;
  std::mutex mutex;
  comm::run_threads(plan.world_size, {std::chrono::seconds(60)}, [&](const comm::CommunicatorPtr& comm) {
    const auto rank = static_cast<std::size_t>(comm->rank());
    int step = 0, asked = 0;
    train::Setup setup{config, modalities, plan, comm, data};
    setup.bucket_bytes = 4096;
    setup.report_lag = report_lag;
    if (dropping != nullptr)
      setup.drops = [&] {
        if (step != dropping->step) return step > dropping->step;
        const int after = dropping->after_asked[rank];
        return after >= 0 && asked++ >= after;
      };
    train::Observer observer;
    observer.on_gradients = [&](std::int64_t done, const auto&) { step = static_cast<int>(done) + 1; };
    train::Trainer trainer(setup, observer);
    const train::Ending ending = trainer.run();
    for (std::size_t m = 0; m < modalities.size(); ++m) {
      const auto tensors = trainer.gather(static_cast<int>(m), trainer.dtype());
      const std::lock_guard lock(mutex);
      if (tensors)
        for (const models::NamedTensor& t : *tensors)
          out.parameters[modalities[m].name + "/" + t.name] = t.value;
    }
    const std::lock_guard lock(mutex);
    if (rank == 0) out.steps_done = trainer.steps_done();
    if (rank == 0) out.dropped = ending.dropped;
  });
  return out;
}

bool bit_equal(const Parameters& a, const Parameters& b) {
  return a.size() == b.size() && std::ranges::all_of(a, [&](const auto& entry) {
           const auto found = b.find(entry.first);
           return found != b.end() && at::equal(entry.second, found->second);
         });
}

std::vector<test::LayoutCase> layouts() {
  test::Table table;
  table.add({test::clip()}, 1, 2, 1, "pipeline");
  table.add({test::clip(2), test::whisper()}, 2, 1, 1, "tensor parallel");
  table.add({test::clip()}, 1, 2, 2, "replicas, zero1").sharding = config::Sharding::zero1;
  table.add({test::clip()}, 2, 1, 2, "replicas, zero3").sharding = config::Sharding::zero3;
  auto& split = table.add({test::clip()}, 1, 1, 1, "context parallel");
  split.llm_sp = 2;
  split.mode = config::SpMode::ring;
  auto& single = table.add({test::clip()}, 1, 1, 2, "whole replicas");
  single.whole_replicas = true;
  return table.take();
}

}  // namespace

TEST_CASE("A dropped step changes nothing, wherever ranks drop it, and no rank waits for another") {
  for (const test::LayoutCase& layout : layouts()) {
    config::RunConfig config = test::run_config(layout, false);
    config.eval.every = 0;
    config::RunConfig one = config;
    one.steps = 1;
    const Ended want = run(one, layout, nullptr);
    REQUIRE(want.steps_done == 1);
    std::mt19937 random(7);
    for (int trial = 0; trial < 6; ++trial) {
      Dropping dropping{1, {}};
      for (int r = 0; r < test::world_size(layout); ++r)
        dropping.after_asked.push_back(static_cast<int>(random() % 14) - 4);
      for (int& after : dropping.after_asked) after = std::max(after, -1);
      dropping.after_asked[random() % dropping.after_asked.size()] = static_cast<int>(random() % 2);
      const Ended got = run(config, layout, &dropping);
      CAPTURE(layout.name, dropping.after_asked);
      CHECK(got.dropped);
      CHECK(got.steps_done == 1);
      CHECK(bit_equal(got.parameters, want.parameters));
    }
  }
}

TEST_CASE("So it is where reports are read a step later, and in the first step") {
  const test::LayoutCase layout = layouts()[2];
  config::RunConfig config = test::run_config(layout, false);
  config.steps = 6;
  const std::vector<int> first_rank = {0, -1, -1, -1, -1, -1};
  const Dropping third{2, first_rank}, first{0, first_rank};
  config::RunConfig two = config;
  two.steps = 2;
  const Ended late = run(config, layout, &third, 1);
  CHECK(late.steps_done == 2);
  CHECK(bit_equal(late.parameters, run(two, layout, nullptr).parameters));
  CHECK(run(config, layout, &first).steps_done == 0);
}
