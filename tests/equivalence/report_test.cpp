// When a step's report is read makes no difference but in time.

#include "catch.h"
#include "cornstarch/train/trainer.h"
#include "layouts.h"

using namespace cornstarch;

namespace {

/// Some samples cannot be read, which only ranks with text find out.
class BrokenDataset : public test::SyntheticDataset {
 public:
  using SyntheticDataset::SyntheticDataset;
  Result<dataio::TextRow> text(std::int64_t sample) const override {
    if (sample % 11 == 5) return fail(ExitCode::bad_data, cat("sample ", sample, " is broken"));
    return SyntheticDataset::text(sample);
  }
};

/// One that breaks the third step.
class PoisonedDataset : public test::SyntheticDataset {
 public:
  using SyntheticDataset::SyntheticDataset;
  Result<std::vector<dataio::MediaItem>> media(std::int64_t sample, int encoder) const override {
    auto items = SyntheticDataset::media(sample, encoder);
    if (items && sample >= 2 * kGlobalBatch)
      for (dataio::MediaItem& item : *items) item.values.assign(item.values.size(), std::nanf(""));
    return items;
  }
  static constexpr std::int64_t kGlobalBatch = 16;
};

test::LayoutCase layout() {
  test::LayoutCase c;
  c.encoders.emplace_back();
  c.llm_stages = 2;
  c.dp = 2;
  c.sharding = config::Sharding::zero1;
  return c;
}

/// One picture is no number.
class OnePoisoned : public test::SyntheticDataset {
 public:
  using SyntheticDataset::SyntheticDataset;
  static constexpr std::int64_t kSample = 37;
  dataio::SampleInfo info(std::int64_t sample) const override {
    return sample == kSample ? dataio::SampleInfo{{1}} : SyntheticDataset::info(sample);
  }
  Result<std::vector<dataio::MediaItem>> media(std::int64_t sample, int encoder) const override {
    auto items = SyntheticDataset::media(sample, encoder);
    if (items && sample == kSample) items->front().values.back() = std::nanf("");
    return items;
  }
};

template <typename Data>
std::vector<telemetry::StepRecord> records_of(config::RunConfig config, int report_lag,
                                              const test::LayoutCase& layout = ::layout()) {
  const catalog::Modalities modalities = test::resolve_or_throw(config);
  const plan::Plan plan = value_or_throw(plan::make_plan(config, modalities, test::world_size(layout)));
  const Data data(modalities, config.batch.sequence_length, {});
  std::vector<telemetry::StepRecord> out;
  comm::run_threads(plan.world_size, {std::chrono::seconds(60)}, [&](const comm::CommunicatorPtr& comm) {
    train::Observer observer;
    if (comm->rank() == 0) observer.on_step = [&](const telemetry::StepRecord& r) { out.push_back(r); };
    train::Setup setup{config, modalities, plan, comm, data};
    setup.report_lag = report_lag;
    train::Trainer(setup, observer).run();
  });
  return out;
}

}  // namespace

TEST_CASE("reports that are read a step or more later say the same, bad samples included") {
  config::RunConfig config = test::run_config(layout(), false);
  config.steps = 6;
  config.data.on_bad_sample = config::OnBadSample::skip;
  const auto at_once = records_of<BrokenDataset>(config, 0);
  REQUIRE(at_once.size() == 6);
  std::int64_t skipped = 0;
  for (const int lag : {1, 2, 9}) {
    const auto late = records_of<BrokenDataset>(config, lag);
    REQUIRE(late.size() == 6);
    for (std::size_t i = 0; i < 6; ++i) {
      CHECK(late[i].step == static_cast<int>(i) + 1);
      CHECK(late[i].loss == at_once[i].loss);
      CHECK(late[i].grad_norm == at_once[i].grad_norm);
      CHECK(late[i].lr == at_once[i].lr);
      CHECK(late[i].tokens == at_once[i].tokens);
      CHECK(late[i].skipped_samples == at_once[i].skipped_samples);
      skipped += late[i].skipped_samples;
    }
  }
  CHECK(skipped > 0);
}

TEST_CASE(
    "losses that are not finite end the run with the step that is one too many, however late it is read") {
  config::RunConfig config = test::run_config(layout(), false);
  config.steps = 6;
  config.data.shuffle = false;
  for (const int allowed : {0, 3})
    for (const int lag : {0, 1}) {
      config.optimizer.max_bad_steps = allowed;
      INFO(allowed << " " << lag);
      try {
        records_of<PoisonedDataset>(config, lag);
        FAIL("the run went on");
      } catch (const Failure& failure) {
        const std::string what = failure.what();
        INFO(what);
        CHECK(what.find(cat("step ", 3 + allowed, ": loss nan")) != std::string::npos);
        CHECK(what.find("; it comes from several samples, the first of them sample ") != std::string::npos);
        CHECK(failure.error().help == "lower optimizer.lr, or add warm-up");
        CHECK(failure.error().code == ExitCode::numerics);
      }
    }
}

TEST_CASE("a sample that makes a step's numbers none is named, wherever it is computed") {
  std::vector<test::LayoutCase> layouts(4, layout());
  layouts[1].sharding = config::Sharding::zero3;
  layouts[1].llm_stages = 1;
  layouts[2].llm_tp = 2;
  layouts[2].llm_stages = 1;
  layouts[3].whole_replicas = true;
  layouts[3].llm_stages = 1;
  for (const test::LayoutCase& each : layouts)
    for (const int lag : {0, 1}) {
      INFO(&each - layouts.data() << " " << lag);
      config::RunConfig config = test::run_config(each, false);
      config.steps = 6;
      config.data.shuffle = false;
      const auto steps = records_of<OnePoisoned>(config, lag, each);
      REQUIRE(steps.size() == 6);
      for (const telemetry::StepRecord& step : steps) CHECK(step.left_out == (step.step == 3));
      config.optimizer.max_bad_steps = 0;
      try {
        records_of<OnePoisoned>(config, lag, each);
        FAIL("the run went on");
      } catch (const Failure& failure) {
        CHECK(std::string(failure.what())
                  .ends_with(
                      "step 3: loss nan, gradient norm nan is not finite; the first such gradient is that of "
                      "vision0/vision_model.embeddings.class_embedding; it comes from sample 37"));
        CHECK(failure.error().help == "mend that sample, or take it out");
      }
    }
}
