// Held-out questions are answered alike by every layout.

#include <algorithm>
#include <set>
#include <tuple>

#include "catch.h"
#include "cornstarch/train/trainer.h"
#include "layouts.h"

using namespace cornstarch;

namespace {

constexpr int kAsked = 14, kTokens = 6;

/// Sample, tokens, and whether there would be more of them.
using Said = std::vector<std::tuple<std::int64_t, std::vector<std::int64_t>, bool>>;

/// Some samples cannot be read, which only ranks with text find out; others nearly fill their row.
class Questions : public test::SyntheticDataset {
 public:
  Questions(const catalog::Modalities& modalities, const config::RunConfig& config)
      : SyntheticDataset(modalities, config.batch.sequence_length, {}),
        length_(config.batch.sequence_length) {}

  Result<dataio::TextRow> text(std::int64_t sample) const override {
    if (sample == 5) return fail(ExitCode::bad_data, "sample 5 is broken");
    return SyntheticDataset::text(sample);
  }
  Result<dataio::Question> question(std::int64_t sample) const override {
    auto out = SyntheticDataset::question(sample);
    if (!out || sample % 4 != 2) return out;
    out->prompt.ids.resize(static_cast<std::size_t>(length_ - 2), 1);
    out->prompt.labels.resize(out->prompt.ids.size(), dataio::kIgnoreLabel);
    out->prompt.length = length_ - 2;
    return out;
  }

 private:
  std::int64_t length_;
};

Said answers(const test::LayoutCase& layout, bool single = false, int lag = 0) {
  config::RunConfig config = test::run_config(layout, single);
  config.precision = config::Precision::fp64;
  config.optimizer.lr = 1e-3;
  config.steps = 2;
  config.eval.max_samples = 20;
  config.eval.generate = kAsked;
  config.eval.generate_tokens = kTokens;
  config.data.on_bad_sample = config::OnBadSample::skip;
  config.data.max_bad_fraction = 0.5;
  const catalog::Modalities modalities = test::modalities_of(layout, config);
  const int ranks = single ? 1 : test::world_size(layout);
  const plan::Plan plan = value_or_throw(plan::make_plan(config, modalities, ranks));
  const Questions data(modalities, config);
  Said said;
  comm::run_threads(ranks, {std::chrono::seconds(120)}, [&](const comm::CommunicatorPtr& comm) {
    train::Observer observer;
    if (comm->rank() == ranks - 1)
      observer.on_answers = [&](std::int64_t step, const std::vector<train::HeldOutAnswer>& all) {
        CHECK(step == 2);
        for (const train::HeldOutAnswer& each : all) said.emplace_back(each.sample, each.ids, each.cut_off);
      };
    train::Setup setup{config, modalities, plan, comm, data, &data, 4096};
    setup.report_lag = lag;
    for (std::int64_t id = 0; id < modalities.back().spec.vocab_size; id += 5) setup.answer_ends.insert(id);
    train::Trainer(setup, observer).run();
  });
  return said;
}

/// Of one global batch of twelve samples.
std::vector<test::LayoutCase> layouts(const std::string& llm, const test::EncoderLayout& encoder) {
  test::Table table;
  const auto add = [&](int encoder_tp, int encoder_stages, int tp, int stages, int dp) -> test::LayoutCase& {
    test::EncoderLayout vision = encoder;
    vision.tp = encoder_tp;
    vision.stages = encoder_stages;
    auto& c = table.add({vision}, tp, stages, dp);
    c.llm = llm;
    c.microbatch_size = 2;
    c.num_microbatches = 6 / dp;
    return c;
  };
  add(1, 1, 1, 1, 1);
  add(2, 1, 2, 2, 1);
  add(1, 2, 1, 2, 3).sharding = config::Sharding::zero1;
  add(1, 1, 2, 1, 2).sharding = config::Sharding::zero3;
  add(1, 1, 1, 1, 3).whole_replicas = true;
  test::split(add(1, 1, 2, 2, 1), 2, config::SpMode::ring);
  auto& wide = test::split(add(2, 1, 1, 1, 2), 2, config::SpMode::all_to_all, config::Distribution::makespan);
  wide.packing = true;
  add(1, 1, 1, 1, 2).packing = true;
  return table.take();
}

void check(const std::string& llm, const test::EncoderLayout& encoder) {
  const auto all = layouts(llm, encoder);
  const Said want = answers(all.front(), true);
  INFO(llm);
  // Not of what cannot be read, nor of what asks nothing.
  std::vector<std::int64_t> samples;
  std::set<std::int64_t> tokens;
  std::set<std::size_t> lengths;
  for (const auto& [sample, ids, cut_off] : want) {
    samples.push_back(sample);
    tokens.insert(ids.begin(), ids.end());
    lengths.insert(ids.size());
    // A row's last token is the last that is said; what ends an answer is no part of it.
    CHECK(ids.size() <= (sample % 4 == 2 ? 2U : kTokens));
    CHECK(cut_off == (ids.size() == (sample % 4 == 2 ? 2U : kTokens)));
  }
  CHECK(samples == std::vector<std::int64_t>{0, 1, 2, 4, 6, 7, 8, 9, 11, 12, 13});
  CHECK(tokens.size() > 4);
  CHECK(lengths.size() > 2);
  for (const test::LayoutCase& layout : all) {
    INFO(layout.name);
    CHECK(answers(layout) == want);
  }
}

}  // namespace

TEST_CASE("every layout gives the same answers to held-out questions") { check("mha", test::clip()); }

TEST_CASE("so it does where places have three parts and items sizes of their own") {
  check("qwen2_5_vl_text", test::bare(test::qwen2_5_vl()));
}

TEST_CASE("so it does where layers have windows, and where frequencies depend on the length") {
  check("gemma3_text", test::clip());
  check("dynamic", test::clip());
}

TEST_CASE("so it does where rows of training hold several samples: who answers has one alone") {
  const auto all = layouts("mha", test::clip());
  for (const std::size_t i : {1U, 6U}) {
    test::LayoutCase layout = all[i];
    layout.packing = false;
    layout.first_fit = true;
    INFO(layout.name);
    const Said want = answers(layout, true);
    CHECK(want.size() == 11);
    CHECK(answers(layout) == want);
  }
}

TEST_CASE("answers do not depend on when a step's report is read") {
  const auto layout = layouts("gqa_tied", test::clip())[1];
  CHECK(answers(layout, false, 1) == answers(layout));
}
