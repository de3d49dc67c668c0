// A run that goes on from a checkpoint is the run that was never interrupted, in the same layout or another.

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>

#include "catch.h"
#include "cornstarch/base/text.h"
#include "cornstarch/checkpoint/checkpoint.h"
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
                            int report_lag = 0) {
  const config::RunConfig config = config_of(kind, dir);
  const catalog::Modalities modalities = test::resolve_or_throw(config);
  const plan::Plan plan = value_or_throw(plan::make_plan(config, modalities, test::world_size(kind.layout)));
  const test::SyntheticDataset data(modalities, config.batch.sequence_length, kind.layout.mix);
  std::vector<double> losses;
  comm::run_threads(plan.world_size, {std::chrono::seconds(120)}, [&](const comm::CommunicatorPtr& comm) {
    train::Setup setup{config, modalities, plan, comm, data};
    setup.bucket_bytes = 4096;
    setup.report_lag = report_lag;
    train::Observer observer;
    if (comm->rank() == 0)
      observer.on_step = [&](const telemetry::StepRecord& record) { losses.push_back(record.loss); };
    train::Trainer trainer(setup, observer);
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
    trainer.save(/*again=*/true);
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
  add(vision(), 4, 1, 1, "tp4");
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
}

TEST_CASE("What one layout saves another goes on from", "[resume]") {
  const Folder folder;
  const auto all = layouts("mha"), tied = layouts("gqa_tied");
  const std::vector<std::pair<int, int>> pairs = {{0, 7}, {7, 1}, {11, 13}, {13, 5}, {4, 12}, {9, 15}};
  for (const auto& [from, to] : pairs)
    check_pair({all[static_cast<std::size_t>(from)]}, {all[static_cast<std::size_t>(to)]}, folder.path());
  check_pair({tied[6]}, {tied[13]}, folder.path());
  check_pair({tied[12]}, {tied[11]}, folder.path());
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
