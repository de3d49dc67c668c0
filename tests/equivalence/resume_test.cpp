// A run that goes on from a checkpoint is the run that was never interrupted, in the same layout or another.

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "catch.h"
#include "cornstarch/base/text.h"
#include "cornstarch/checkpoint/checkpoint.h"
#include "cornstarch/dataio/sampler.h"
#include "cornstarch/models/dtypes.h"
#include "cornstarch/train/trainer.h"
#include "layouts.h"
#include "temporary_folder.h"

using namespace cornstarch;
namespace fs = std::filesystem;

namespace {

constexpr int kSaved = 2, kSteps = 4;

using State = std::map<std::string, at::Tensor>;

using Folder = test::TemporaryFolder;

/// Every tensor of a checkpoint, whole.
State state_in(const fs::path& path) {
  auto opened = value_or_throw(checkpoint::Checkpoint::open(path));
  REQUIRE(opened.verify().empty());
  State out;
  for (const auto& [name, tensor] : opened.tensors()) {
    const at::Tensor whole = at::empty(tensor.shape, *models::scalar_type(tensor.dtype));
    value_or_throw(opened.read(name, plan::whole(tensor.shape),
                               {static_cast<std::byte*>(whole.mutable_data_ptr()), whole.nbytes()}));
    out[name] = whole;
  }
  return out;
}

/// A layout, and the type that it computes in.
struct Kind {
  test::LayoutCase layout;
  config::Precision precision = config::Precision::fp64;
  config::OptimizerType optimizer = config::OptimizerType::adamw;
};

config::RunConfig config_of(const Kind& kind, const fs::path& dir) {
  config::RunConfig config = test::run_config(kind.layout, false);
  config.precision = kind.precision;
  config.optimizer.type = kind.optimizer;
  config.optimizer.momentum = kind.optimizer == config::OptimizerType::sgd ? 0.9 : 0;
  config.optimizer.lr = 1e-2;
  config.steps = kSteps;
  config.eval.every = 0;
  config.checkpoint.every = kSaved;
  config.checkpoint.keep = 9;
  config.checkpoint.dir = dir.string();
  return config;
}

/// Trains to the end, from `from` or the beginning, and saves on the way; the losses of its steps.
std::vector<double> trained(const Kind& kind, const fs::path& dir, const fs::path& from = {},
                            int report_lag = 0, train::Observer observer = {}) {
  const config::RunConfig config = config_of(kind, dir);
  const catalog::Modalities modalities = test::resolve_or_throw(config);
  const plan::Plan plan = value_or_throw(plan::make_plan(config, modalities, test::world_size(kind.layout)));
  const test::SyntheticDataset data(modalities, config.batch.sequence_length, kind.layout.mix);
  std::vector<double> losses;
  comm::run_threads(plan.world_size, {std::chrono::seconds(120)}, [&](const comm::CommunicatorPtr& comm) {
    train::Setup setup{config, modalities, plan, comm, data};
    setup.bucket_bytes = 4096;
    setup.report_lag = report_lag;
    train::Observer own = observer;
    if (comm->rank() == 0)
      own.on_step = [&](const telemetry::StepRecord& record) { losses.push_back(record.loss); };
    train::Trainer trainer(setup, own);
    if (!from.empty()) {
      auto opened = value_or_throw(checkpoint::Checkpoint::open(from));
      trainer.restore(opened);
      trainer.publish();
    }
    trainer.run();
  });
  return losses;
}

/// Saves again what was read in another layout.
void read_and_save(const Kind& kind, const fs::path& dir, const fs::path& from) {
  const config::RunConfig config = config_of(kind, dir);
  const catalog::Modalities modalities = test::resolve_or_throw(config);
  const plan::Plan plan = value_or_throw(plan::make_plan(config, modalities, test::world_size(kind.layout)));
  const test::SyntheticDataset data(modalities, config.batch.sequence_length, kind.layout.mix);
  comm::run_threads(plan.world_size, {std::chrono::seconds(120)}, [&](const comm::CommunicatorPtr& comm) {
    train::Trainer trainer({config, modalities, plan, comm, data}, {});
    auto opened = value_or_throw(checkpoint::Checkpoint::open(from));
    trainer.restore(opened);
    trainer.publish();
    trainer.save();
  });
}

/// What is not the same, bit by bit.
std::vector<std::string> differing(const State& a, const State& b) {
  std::vector<std::string> out;
  for (const auto& [name, tensor] : a) {
    const auto found = b.find(name);
    if (found == b.end() || found->second.nbytes() != tensor.nbytes() ||
        std::memcmp(tensor.const_data_ptr(), found->second.const_data_ptr(), tensor.nbytes()) != 0)
      out.push_back(name);
  }
  if (a.size() != b.size()) out.push_back(cat(a.size(), " and ", b.size(), " tensors"));
  return out;
}

/// The largest difference of a tensor, as a share of its largest value.
double difference(const State& a, const State& b) {
  double worst = a.size() == b.size() ? 0 : 1;
  for (const auto& [name, tensor] : a) {
    const double scale = std::max(tensor.abs().max().item<double>(), 1e-3);
    worst = std::max(worst, (tensor - b.at(name)).abs().max().item<double>() / scale);
  }
  return worst;
}

/// The same model and the same global batch of twelve samples.
std::vector<test::LayoutCase> layouts(const std::string& llm) {
  test::Table table;
  const auto add = [&](std::vector<test::EncoderLayout> encoders, int tp, int stages, int dp,
                       const std::string& name) -> test::LayoutCase& {
    auto& c = table.add(std::move(encoders), tp, stages, dp, name);
    c.llm = llm;
    c.microbatch_size = 2;
    c.num_microbatches = 6 / dp;
    return c;
  };
  const auto vision = [](int tp = 1, int stages = 1) { return std::vector{test::clip(tp, stages)}; };
  add(vision(), 1, 1, 1, "one by one");
  add(vision(), 1, 1, 1, "whole").whole_replicas = true;
  add(vision(), 1, 1, 3, "whole replicas").whole_replicas = true;
  add(vision(2), 2, 1, 1, "tp2");
  add(vision(), llm == "mha" ? 4 : 6, 1, 1, "tp as wide as it gets");
  add(vision(1, 2), 1, 2, 1, "pp2");
  add(vision(), 1, 4, 1, "pp4");
  add(vision(2, 2), 2, 2, 1, "tp2 pp2");
  add(vision(), 1, 1, 2, "dp2");
  add(vision(), 1, 2, 3, "pp2 dp3");
  add(vision(), 1, 1, 2, "zero1 dp2").sharding = config::Sharding::zero1;
  add(vision(2), 2, 2, 3, "zero1 tp2 pp2 dp3").sharding = config::Sharding::zero1;
  add(vision(), 1, 1, 2, "zero3 dp2").sharding = config::Sharding::zero3;
  add(vision(2), 3, 1, 3, "zero3 tp3 dp3").sharding = config::Sharding::zero3;
  auto& split = add(vision(), 1, 1, 1, "sp2");
  split.llm_sp = 2;
  split.mode = config::SpMode::ring;
  auto& wide = add(vision(), 2, 1, 2, "sp2 tp2 dp2, zero1");
  wide.llm_sp = 2;
  wide.mode = config::SpMode::ring_attn;
  wide.sharding = config::Sharding::zero1;
  auto& shared = add(vision(2), 2, 1, 2, "tp2 sequence parallel, dp2");
  shared.llm_blocks.tp_sequence_parallel = true;
  add(vision(), 1, 1, 1, "packed").packing = true;
  auto& recomputed = add(vision(), 1, 2, 1, "recomputed");
  recomputed.llm_blocks.checkpointing = config::Checkpointing::full;
  auto& replicas = add(vision(), 1, 1, 2, "whole replicas, zero1");
  replicas.whole_replicas = true;
  replicas.sharding = config::Sharding::zero1;
  return table.take();
}

/// The layout with single modules frozen, and with rates of their own for the others.
test::LayoutCase in_parts(test::LayoutCase c) {
  c.name += ", in parts";
  c.llm_listed.except = {"model.embed_tokens", "model.layers.2"};
  c.encoders.front().listed.only = {"vision_model.encoder.layers.1..2", "projector"};
  c.own_rates = true;
  return c;
}

/// The layout with adapters in place of the models' own weights.
test::LayoutCase adapted(test::LayoutCase c) {
  c.name += ", adapters";
  c.llm_lora = true;
  c.encoders.front().lora = true;
  return c;
}

test::LayoutCase dropping(test::LayoutCase c) {
  c = adapted(std::move(c));
  c.name += ", dropout";
  c.lora_dropout = 0.3;
  return c;
}

/// The layout with pictures of any size, windows among their patches, and rotary positions of three parts.
test::LayoutCase of_qwen_vl(test::LayoutCase c) {
  c.name += ", Qwen2.5-VL";
  c.llm = "qwen2_5_vl_text";
  c.encoders.front().family = "qwen2_5_vl_vision";
  c.encoders.front().projector = config::ProjectorType::none;
  return c;
}

test::LayoutCase of_gemma(test::LayoutCase c) {
  c.name += ", DINOv2 and Gemma 3";
  c.llm = "gemma3_text";
  c.encoders.front().family = "dinov2";
  return c;
}

fs::path step_folder(const fs::path& dir, int step) { return checkpoint::whole_folder(dir, step); }

/// A run that was interrupted and went on in the same layout, beside one that was not.
void check_same_layout(const Kind& kind, const fs::path& folder, int report_lag = 0) {
  CAPTURE(kind.layout.name, config::name_of(kind.precision));
  const std::vector<double> losses = trained(kind, folder / "a", {}, report_lag);
  REQUIRE(losses.size() == kSteps);
  const std::vector<double> rest = trained(kind, folder / "b", step_folder(folder / "a", kSaved), report_lag);
  CHECK(rest == std::vector<double>(losses.begin() + kSaved, losses.end()));
  CHECK(differing(state_in(step_folder(folder / "a", kSteps)), state_in(step_folder(folder / "b", kSteps))) ==
        std::vector<std::string>());
  fs::remove_all(folder / "a");
  fs::remove_all(folder / "b");
}

/// What one layout saved, read by another: the same bits, and the same run from there.
void check_pair(const Kind& from, const Kind& to, const fs::path& folder) {
  CAPTURE(from.layout.name, to.layout.name);
  const std::vector<double> losses = trained(from, folder / "a");
  const fs::path saved = step_folder(folder / "a", kSaved);
  read_and_save(to, folder / "c", saved);
  CHECK(differing(state_in(saved), state_in(step_folder(folder / "c", kSaved))) ==
        std::vector<std::string>());
  const std::vector<double> rest = trained(to, folder / "b", saved);
  REQUIRE(rest.size() == kSteps - kSaved);
  for (std::size_t i = 0; i < rest.size(); ++i)
    CHECK(std::abs(rest[i] - losses[kSaved + i]) <= 1e-9 * losses[kSaved + i]);
  CHECK(difference(state_in(step_folder(folder / "a", kSteps)), state_in(step_folder(folder / "b", kSteps))) <
        1e-8);
  for (const char* each : {"a", "b", "c"}) fs::remove_all(folder / each);
}

}  // namespace

TEST_CASE("A run goes on from its checkpoint bit by bit", "[resume]") {
  const Folder folder;
  const auto all = layouts("mha");
  using config::OptimizerType, config::Precision;
  for (const std::size_t i : {0, 4, 7, 11, 13}) check_same_layout({all[i], Precision::fp32}, folder.path());
  check_same_layout({all[10], Precision::bf16}, folder.path(), 1);
  check_same_layout({all[12], Precision::bf16}, folder.path());
  check_same_layout({all[8], Precision::bf16_pure, OptimizerType::sgd}, folder.path());
  check_same_layout({layouts("gqa_tied")[11], Precision::fp32}, folder.path());
  for (const std::size_t i : {5, 11, 13})
    check_same_layout({in_parts(all[i]), Precision::fp32}, folder.path());
  for (const std::size_t i : {7, 13}) check_same_layout({all[i], Precision::fp8_in_fp64}, folder.path(), 1);
  for (const std::size_t i : {11, 13, 15})
    check_same_layout({adapted(all[i]), Precision::fp32}, folder.path());
  for (const std::size_t i : {7, 15})
    check_same_layout({dropping(all[i]), Precision::fp32}, folder.path(), 1);
  for (const std::size_t i : {7, 13, 15})
    check_same_layout({of_qwen_vl(all[i]), Precision::fp32}, folder.path(), 1);
  check_same_layout({of_gemma(all[15]), Precision::fp32}, folder.path());
}

TEST_CASE("What one layout saves another goes on from", "[resume]") {
  const Folder folder;
  const auto all = layouts("mha"), tied = layouts("gqa_tied");
  const std::vector<std::pair<int, int>> pairs = {{0, 7}, {7, 1}, {11, 13}, {13, 5}, {4, 12}, {9, 15}};
  for (const auto& [from, to] : pairs)
    check_pair({all[static_cast<std::size_t>(from)]}, {all[static_cast<std::size_t>(to)]}, folder.path());
  check_pair({in_parts(all[7])}, {in_parts(all[12])}, folder.path());
  check_pair({in_parts(all[13])}, {in_parts(all[9])}, folder.path());
  check_pair({tied[6]}, {tied[13]}, folder.path());
  check_pair({tied[12]}, {tied[11]}, folder.path());
  for (const auto& [from, to] : std::vector<std::pair<int, int>>{{0, 11}, {7, 15}, {13, 9}, {16, 4}})
    check_pair({adapted(all[static_cast<std::size_t>(from)])}, {adapted(all[static_cast<std::size_t>(to)])},
               folder.path());
  check_pair({dropping(all[7])}, {dropping(all[15])}, folder.path());
  for (const auto& [from, to] : std::vector<std::pair<int, int>>{{7, 13}, {15, 5}})
    check_pair({of_qwen_vl(all[static_cast<std::size_t>(from)])},
               {of_qwen_vl(all[static_cast<std::size_t>(to)])}, folder.path());
  check_pair({of_gemma(all[11])}, {of_gemma(all[15])}, folder.path());
  const auto scales = config::Precision::fp8_in_fp64;
  check_pair({all[7], scales}, {all[15], scales}, folder.path());
}

namespace {

/// The same twelve samples in every step.
class Repeated : public test::SyntheticDataset {
 public:
  using SyntheticDataset::SyntheticDataset;
  dataio::SampleInfo info(std::int64_t sample) const override { return SyntheticDataset::info(sample % 12); }
  Result<dataio::SampleExtents> extents(std::int64_t sample) const override {
    return SyntheticDataset::extents(sample % 12);
  }
  Result<dataio::TextRow> text(std::int64_t sample) const override {
    return SyntheticDataset::text(sample % 12);
  }
  Result<std::vector<dataio::MediaItem>> media(std::int64_t sample, int encoder) const override {
    return SyntheticDataset::media(sample % 12, encoder);
  }
};

/// Losses of two steps behind a checkpoint that learn next to nothing, and of an evaluation.
std::vector<double> losses_behind(const fs::path& saved, test::LayoutCase layout, double dropout,
                                  const fs::path& dir) {
  layout.lora_dropout = dropout;
  config::RunConfig config = config_of({layout}, dir);
  config.steps = kSteps + 2;
  config.optimizer.lr = 1e-15;
  config.data.shuffle = false;
  config.eval.max_samples = 12;
  const catalog::Modalities modalities = test::resolve_or_throw(config);
  const plan::Plan plan = value_or_throw(plan::make_plan(config, modalities, test::world_size(layout)));
  const Repeated data(modalities, config.batch.sequence_length, {});
  std::vector<double> losses;
  comm::run_threads(plan.world_size, {std::chrono::seconds(120)}, [&](const comm::CommunicatorPtr& comm) {
    train::Observer observer;
    if (comm->rank() == 0) {
      observer.on_step = [&](const telemetry::StepRecord& record) { losses.push_back(record.loss); };
      observer.on_eval = [&](const telemetry::EvalRecord& record) { losses.push_back(record.loss); };
    }
    train::Trainer trainer({config, modalities, plan, comm, data, &data}, observer);
    auto opened = value_or_throw(checkpoint::Checkpoint::open(saved));
    trainer.restore(opened);
    trainer.publish();
    trainer.run();
  });
  return losses;
}

}  // namespace

TEST_CASE("Adapters drop some of what they take in every step anew, and none of it in evaluation",
          "[resume]") {
  const Folder folder;
  const test::LayoutCase layout = adapted(layouts("mha")[3]);
  trained({layout}, folder.path() / "a");
  const fs::path saved = step_folder(folder.path() / "a", kSteps);
  const auto whole = losses_behind(saved, layout, 0, folder.path() / "b");
  const auto dropped = losses_behind(saved, layout, 0.5, folder.path() / "c");
  const auto again = losses_behind(saved, layout, 0.5, folder.path() / "d");
  REQUIRE(whole.size() == 3);
  REQUIRE(dropped.size() == 3);
  CHECK(again == dropped);
  const auto near = [](double a, double b) { return std::abs(a - b) < 1e-9; };
  CHECK(near(whole[0], whole[1]));
  CHECK_FALSE(near(whole[0], dropped[0]));
  CHECK_FALSE(near(dropped[0], dropped[1]));
  CHECK(near(whole[2], dropped[2]));
}

TEST_CASE("What replicas hold alike they share the writing of", "[resume]") {
  const Folder folder;
  const auto all = layouts("mha"), tied = layouts("gqa_tied");
  for (const test::LayoutCase& layout : {all[2], tied[8], tied[9]}) {
    CAPTURE(layout.name);
    const fs::path dir = folder.path() / layout.name;
    trained({layout, config::Precision::fp32}, dir);
    const auto opened = value_or_throw(checkpoint::Checkpoint::open(step_folder(dir, kSteps)));
    std::int64_t most = 0, sum = 0;
    for (const checkpoint::Part& part : opened.manifest().parts) {
      most = std::max(most, part.bytes);
      sum += part.bytes;
    }
    // The heaviest stage's replicas have at most all of it between them.
    CHECK(most < sum / layout.dp + sum / 20);
  }
}

namespace {

/// Holds the copying of the first checkpoint until the gradients of the next step are there, and then as long
/// as an update that does not wait for it needs to be over.
class HeldCopy {
 public:
  void has_gradients(std::int64_t step) {
    const std::lock_guard lock(mutex_);
    step_ = step;
    changed_.notify_all();
  }
  void hold() {
    std::unique_lock lock(mutex_);
    if (std::exchange(held_, true)) return;
    beside_a_step_ = changed_.wait_for(lock, std::chrono::seconds(60), [&] { return step_ >= kSaved; });
    changed_.wait_for(lock, std::chrono::seconds(1), [&] { return step_ > kSaved; });
  }
  bool beside_a_step() const { return beside_a_step_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t step_ = -1;
  bool held_ = false, beside_a_step_ = false;
};

}  // namespace

TEST_CASE("What is copied beside the next step is the state before its update", "[resume]") {
  const Folder folder;
  const Kind kind{layouts("mha")[0], config::Precision::fp32};
  HeldCopy copy;
  train::Observer observer;
  observer.on_gradients = [&](std::int64_t step, const auto&) { copy.has_gradients(step); };
  observer.on_copy = [&] { copy.hold(); };
  trained(kind, folder.path() / "free");
  trained(kind, folder.path() / "held", {}, 0, observer);
  CHECK(copy.beside_a_step());
  CHECK(differing(state_in(step_folder(folder.path() / "free", kSaved)),
                  state_in(step_folder(folder.path() / "held", kSaved))) == std::vector<std::string>());
}

TEST_CASE("Every layout goes on from its checkpoint bit by bit", "[.][resume_all]") {
  const Folder folder;
  using config::Precision;
  for (const std::string llm : {"mha", "gqa_tied"})
    for (const test::LayoutCase& layout : layouts(llm))
      for (const Precision precision : {Precision::fp32, Precision::bf16})
        check_same_layout({layout, precision}, folder.path(), precision == Precision::bf16 ? 1 : 0);
}

TEST_CASE("What any layout saves any other goes on from", "[.][resume_all]") {
  const Folder folder;
  for (const std::string llm : {"mha", "gqa_tied"}) {
    const auto all = layouts(llm);
    for (std::size_t i = 0; i < all.size(); ++i)
      for (const std::size_t step : {7, 11})
        check_pair({all[i]}, {all[(i + step) % all.size()]}, folder.path());
  }
}

TEST_CASE("Masters are what another precision goes on from", "[resume]") {
  const Folder folder;
  const auto all = layouts("mha");
  trained({all[10], config::Precision::bf16}, folder.path() / "a");
  const fs::path saved = step_folder(folder.path() / "a", kSaved);
  read_and_save({all[5], config::Precision::fp32}, folder.path() / "b", saved);
  CHECK(differing(state_in(saved), state_in(step_folder(folder.path() / "b", kSaved))) ==
        std::vector<std::string>());
  read_and_save({all[3], config::Precision::bf16}, folder.path() / "c",
                step_folder(folder.path() / "b", kSaved));
  CHECK(differing(state_in(saved), state_in(step_folder(folder.path() / "c", kSaved))) ==
        std::vector<std::string>());
}

namespace {

constexpr std::int64_t kSamples = 50, kBatch = 12;

/// A small data set that notes what is read of it.
class Noting : public test::SyntheticDataset {
 public:
  using SyntheticDataset::SyntheticDataset;
  std::int64_t size() const override { return kSamples; }
  Result<dataio::TextRow> text(std::int64_t sample) const override {
    const std::lock_guard lock(mutex_);
    read_.push_back(sample);
    return SyntheticDataset::text(sample);
  }
  std::vector<std::int64_t> read() const {
    std::ranges::sort(read_);
    return read_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::vector<std::int64_t> read_;
};

test::LayoutCase replicas(int dp) {
  test::LayoutCase c;
  c.name = cat("dp", dp);
  c.encoders = {test::clip()};
  c.dp = dp;
  c.microbatch_size = 2;
  c.num_microbatches = static_cast<int>(kBatch) / 2 / dp;
  c.whole_replicas = true;
  return c;
}

/// Until step `last`, from where `dir` has come to; by replica, the samples that it read. Adds the losses.
std::vector<std::vector<std::int64_t>> go_on(int dp, int last, const fs::path& dir,
                                             std::vector<double>& losses) {
  config::RunConfig config = config_of({replicas(dp)}, dir);
  config.steps = last;
  config.checkpoint.every = 1000;
  const catalog::Modalities modalities = test::resolve_or_throw(config);
  const plan::Plan plan = value_or_throw(plan::make_plan(config, modalities, dp));
  const auto there = checkpoint::list(dir);
  std::vector<std::vector<std::int64_t>> read(static_cast<std::size_t>(dp));
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
    read[static_cast<std::size_t>(comm->rank())] = data.read();
  });
  return read;
}

}  // namespace

TEST_CASE("Each sample comes once in an epoch, whatever the replicas of each step", "[resume]") {
  const Folder folder;
  std::vector<double> straight, losses;
  go_on(1, 25, folder.path() / "straight", straight);
  const dataio::Sampler sampler(kSamples, kBatch, true, config_of({replicas(1)}, {}).seed);
  std::map<std::int64_t, std::int64_t> times;  // by sample
  int step = 0;
  // Single steps, whose log is exact, and longer ones; 25 batches of 12 are 6 epochs of 50.
  for (const auto& [dp, count] : std::vector<std::pair<int, int>>{
           {1, 1}, {2, 1}, {3, 1}, {1, 2}, {2, 3}, {3, 4}, {1, 1}, {3, 1}, {2, 1}, {3, 5}, {1, 3}, {2, 2}}) {
    CAPTURE(step, dp);
    const auto read = go_on(dp, step + count, folder.path() / "changing", losses);
    std::vector<std::vector<std::int64_t>> wanted(static_cast<std::size_t>(dp));
    for (const int end = step + count; step < end; ++step) {
      const std::vector<std::int64_t> batch = sampler.global_batch(step);
      for (std::size_t i = 0; i < batch.size(); ++i)
        wanted[i * static_cast<std::size_t>(dp) / batch.size()].push_back(batch[i]);
    }
    for (auto& each : wanted) std::ranges::sort(each);
    CHECK(read == wanted);
    for (const auto& replica : read)
      for (const std::int64_t sample : replica) ++times[sample];
    const std::int64_t epochs = step * kBatch / kSamples;
    CHECK(std::ssize(times) == std::min(kSamples, step * kBatch));
    std::int64_t again = 0;
    for (const auto& [_, n] : times) {
      CHECK((n == epochs || n == epochs + 1));
      again += n - epochs;
    }
    CHECK((step * kBatch < kSamples || again == step * kBatch % kSamples));
  }
  REQUIRE(step == 25);
  for (const auto& [_, n] : times) CHECK(n == 6);
  REQUIRE(losses.size() == straight.size());
  for (std::size_t i = 0; i < losses.size(); ++i)
    CHECK(std::abs(losses[i] - straight[i]) <= 1e-9 * straight[i]);
}

namespace {

/// Of whose samples some cannot be read, and one makes every number a NaN.
class Bad : public test::SyntheticDataset {
 public:
  using SyntheticDataset::SyntheticDataset;
  static constexpr std::int64_t kPoisoned = 17;
  std::int64_t size() const override { return kSamples; }
  dataio::SampleInfo info(std::int64_t sample) const override {
    return sample == kPoisoned ? dataio::SampleInfo{{1}} : SyntheticDataset::info(sample);
  }
  Result<dataio::TextRow> text(std::int64_t sample) const override {
    if (sample % 11 == 5) return fail(ExitCode::bad_data, cat("sample ", sample, " is broken"));
    return SyntheticDataset::text(sample);
  }
  Result<std::vector<dataio::MediaItem>> media(std::int64_t sample, int encoder) const override {
    auto items = SyntheticDataset::media(sample, encoder);
    if (items && sample == kPoisoned)
      for (dataio::MediaItem& item : *items) item.values.assign(item.values.size(), std::nanf(""));
    return items;
  }
};

struct Told {
  std::vector<telemetry::StepRecord> steps;
  std::map<std::string, std::string> counters;  ///< of the last checkpoint
  bool operator==(const Told& other) const {
    const auto facts = [](const telemetry::StepRecord& r) {
      const auto known = [](double value) { return std::isnan(value) ? -1 : value; };
      return std::tuple(r.step, known(r.loss), known(r.grad_norm), r.tokens, r.skipped_samples, r.left_out,
                        r.spike);
    };
    return counters == other.counters && std::ranges::equal(steps, other.steps, {}, facts, facts);
  }
};

/// Forty steps of two pipelines; each of `stops` is a step that a rank drops before the run goes on from what
/// it saves.
Told told(const test::LayoutCase& layout, const fs::path& dir, std::vector<int> stops, int report_lag) {
  config::RunConfig config = config_of({layout, config::Precision::fp32}, dir);
  config.steps = 40;
  config.checkpoint.every = 1000;
  config.data.on_bad_sample = config::OnBadSample::skip;
  config.data.max_bad_fraction = 1;
  config.optimizer.lr = 1e-6;  // losses stay where they are, and some are above the mean
  config.optimizer.spike_zscore = 0.25;
  config.optimizer.skip_spikes = true;
  const catalog::Modalities modalities = test::resolve_or_throw(config);
  const plan::Plan plan = value_or_throw(plan::make_plan(config, modalities, test::world_size(layout)));
  const Bad data(modalities, config.batch.sequence_length, {});
  Told out;
  stops.push_back(config.steps);
  for (const int stop : stops) {
    const auto there = checkpoint::list(dir);
    comm::run_threads(plan.world_size, {std::chrono::seconds(120)}, [&](const comm::CommunicatorPtr& comm) {
      int step = there.empty() ? 0 : static_cast<int>(there.front().step);
      train::Setup setup{config, modalities, plan, comm, data};
      setup.report_lag = report_lag;
      setup.drops = [&] { return step >= stop; };
      train::Observer observer;
      observer.on_gradients = [&](std::int64_t done, const auto&) { step = static_cast<int>(done) + 1; };
      if (comm->rank() == 0)
        observer.on_step = [&](const telemetry::StepRecord& record) { out.steps.push_back(record); };
      train::Trainer trainer(setup, observer);
      if (!there.empty()) {
        auto opened = value_or_throw(checkpoint::Checkpoint::open(there.front().path));
        trainer.restore(opened);
        trainer.publish();
      }
      const train::Ending ending = trainer.run();
      if (ending.dropped != (stop < config.steps)) throw std::runtime_error("not as it was to end");
      if (!trainer.save()) throw std::runtime_error("it was not saved");
    });
  }
  out.counters = checkpoint::list(dir).front().manifest->counters;
  return out;
}

}  // namespace

TEST_CASE("What is counted, and which losses are spikes, does not depend on interruptions", "[resume]") {
  const Folder folder;
  test::Table table;
  table.add({test::clip()}, 1, 2, 2, "pipelines").num_microbatches = 3;
  const test::LayoutCase layout = table.take().front();
  for (const int lag : {0, 1}) {
    CAPTURE(lag);
    const Told straight = told(layout, folder.path() / cat("straight", lag), {}, lag);
    const Told chain = told(layout, folder.path() / cat("chain", lag), {5, 6, 13, 27, 33}, lag);
    CHECK(chain == straight);
    CHECK(chain.counters == straight.counters);
    CHECK(straight.counters.at("samples_read") == "480");
    CHECK(std::stoi(straight.counters.at("samples_bad")) > 40);
    const auto count = [&](auto member) { return std::ranges::count(straight.steps, true, member); };
    CHECK(std::to_string(count(&telemetry::StepRecord::spike)) == straight.counters.at("loss_spikes"));
    CHECK(std::to_string(count(&telemetry::StepRecord::left_out)) == straight.counters.at("steps_left_out"));
    CHECK(count(&telemetry::StepRecord::spike) > 0);
    CHECK(count(&telemetry::StepRecord::left_out) > count(&telemetry::StepRecord::spike));
    CHECK(count(&telemetry::StepRecord::left_out) >= 9);
  }
}
