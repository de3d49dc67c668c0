// Rows that are packed: the same samples in the same steps, whatever the replicas, and from any checkpoint
// on.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <mutex>
#include <utility>

#include "catch.h"
#include "cornstarch/base/text.h"
#include "cornstarch/checkpoint/checkpoint.h"
#include "cornstarch/dataio/sampler.h"
#include "cornstarch/train/trainer.h"
#include "layouts.h"
#include "temporary_folder.h"

using namespace cornstarch;

namespace {

constexpr std::int64_t kSamples = 500, kRows = 12;
constexpr int kStepsOfWindow = 6;  // of 64 rows or more

using Samples = std::vector<std::int64_t>;

/// Each sample has a picture, and those are noted whose pictures are read: who packs looks at texts only.
class Noting : public test::SyntheticDataset {
 public:
  using SyntheticDataset::SyntheticDataset;
  std::int64_t size() const override { return kSamples; }
  dataio::SampleInfo info(std::int64_t) const override { return {{1}}; }
  Result<std::vector<dataio::MediaItem>> media(std::int64_t sample, int encoder) const override {
    const std::lock_guard lock(mutex_);
    read_.push_back(sample);
    return SyntheticDataset::media(sample, encoder);
  }
  const Samples& read() const { return read_; }

 private:
  mutable std::mutex mutex_;
  mutable Samples read_;
};

config::RunConfig config_of(int dp, int last, const std::filesystem::path& dir) {
  test::LayoutCase c;
  c.encoders = {test::clip()};
  c.dp = dp;
  c.num_microbatches = static_cast<int>(kRows) / 2 / dp;
  c.whole_replicas = true;
  c.first_fit = true;
  config::RunConfig config = test::run_config(c, false);
  config.precision = config::Precision::fp64;
  config.optimizer.lr = 1e-2;
  config.steps = last;
  config.eval.every = 0;
  config.checkpoint.every = 1000;
  config.checkpoint.dir = dir.string();
  return config;
}

/// Until the config's last step, from where its folder has come to; what replicas read, in ascending order.
/// Adds the losses.
Samples go_on(const config::RunConfig& config, int dp, std::vector<double>& losses) {
  const catalog::Modalities modalities = test::resolve_or_throw(config);
  const plan::Plan plan = value_or_throw(plan::make_plan(config, modalities, dp));
  const auto there = checkpoint::list(*config.checkpoint.dir);
  Samples read;
  std::mutex mutex;
  comm::run_threads(dp, {std::chrono::seconds(120)}, [&](const comm::CommunicatorPtr& comm) {
    const Noting data(modalities, config.batch.sequence_length, {});
    train::Observer observer;
    if (comm->rank() == 0)
      observer.on_step = [&](const telemetry::StepRecord& record) { losses.push_back(record.loss); };
    {
      train::Trainer trainer({config, modalities, plan, comm, data}, observer);
      if (!there.empty()) {
        auto opened = value_or_throw(checkpoint::Checkpoint::open(there.front().path));
        trainer.restore(opened);
        trainer.publish();
      }
      trainer.run();
    }
    const std::lock_guard lock(mutex);
    read.insert(read.end(), data.read().begin(), data.read().end());
  });
  std::ranges::sort(read);
  return read;
}

}  // namespace

TEST_CASE("Packed samples come once in an epoch, in the same steps whatever the replicas", "[resume]") {
  const test::TemporaryFolder folder;
  constexpr int kSteps = 2 * kStepsOfWindow;
  std::vector<double> straight, losses;
  const Samples all = go_on(config_of(1, kSteps, folder.path() / "straight"), 1, straight);
  // Whole windows take the order of the run without a gap, and rows hold several samples.
  CHECK(std::ssize(all) > 2 * kRows * kSteps);
  CHECK(std::ssize(all) > kSamples);
  Samples order = dataio::Sampler(kSamples, 1, true, 42).samples(0, std::ssize(all));
  std::ranges::sort(order);
  CHECK(all == order);
  // The same in pieces, by one replica, two and three, each of which goes on amidst a window.
  Samples in_pieces;
  int step = 0;
  for (const auto& [dp, count] :
       std::vector<std::pair<int, int>>{{1, 1}, {2, 2}, {3, 2}, {1, 3}, {2, 1}, {3, 3}}) {
    step += count;
    const Samples read = go_on(config_of(dp, step, folder.path() / "changing"), dp, losses);
    in_pieces.insert(in_pieces.end(), read.begin(), read.end());
  }
  REQUIRE(step == kSteps);
  std::ranges::sort(in_pieces);
  CHECK(in_pieces == all);
  REQUIRE(losses.size() == straight.size());
  for (std::size_t i = 0; i < losses.size(); ++i)
    CHECK(std::abs(losses[i] - straight[i]) <= 1e-9 * straight[i]);
}

constexpr const char* kAnotherWay =
    "rank 0: the run cannot go on from step 2: it is amidst samples that were packed together, and what has "
    "changed since (batch, data, tokenizer or model) would pack them in another way";

TEST_CASE("Whoever would pack in another way cannot go on amidst a window", "[resume]") {
  const test::TemporaryFolder folder;
  std::vector<double> losses;
  go_on(config_of(1, 2, folder.path()), 1, losses);
  config::RunConfig shorter = config_of(1, 3, folder.path());
  --shorter.batch.sequence_length;
  CHECK_THROWS_WITH(go_on(shorter, 1, losses), kAnotherWay);
  config::RunConfig wider = config_of(1, 3, folder.path());
  wider.batch.num_microbatches = 48;
  CHECK_THROWS_WITH(go_on(wider, 1, losses), kAnotherWay);
  config::RunConfig unpacked = config_of(1, 3, folder.path());
  unpacked.batch.packing = config::Packing::none;
  CHECK_THROWS_WITH(go_on(unpacked, 1, losses), kAnotherWay);
  // Where a window ends, they may.
  go_on(config_of(2, kStepsOfWindow, folder.path()), 2, losses);
  shorter.steps = kStepsOfWindow + 1;
  go_on(shorter, 1, losses);
  CHECK(losses.size() == kStepsOfWindow + 1);
}
