#include "cornstarch/train/batch.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <latch>
#include <numeric>

#include "catch.h"
#include "plan_fixture.h"

using namespace cornstarch;

namespace {

/// Sample s: text of s + 1 tokens with id s, and s % 3 media items of one value; sample 2 has a broken
/// picture.
class Samples : public dataio::Dataset {
 public:
  std::int64_t size() const override { return 8; }
  std::int64_t pad_id() const override { return 9; }
  dataio::SampleInfo info(std::int64_t s) const override { return {{static_cast<int>(s % 3)}}; }
  Result<dataio::TextRow> text(std::int64_t s) const override {
    dataio::TextRow row;
    row.length = s + 1;
    row.ids.assign(4, 9);
    row.labels.assign(4, dataio::kIgnoreLabel);
    for (std::int64_t i = 0; i <= s && i < 4; ++i) row.ids[static_cast<std::size_t>(i)] = s;
    row.labels[1] = s;
    return row;
  }
  Result<std::vector<dataio::MediaItem>> media(std::int64_t s, int) const override {
    if (s == 2) return fail(ExitCode::bad_data, "train.jsonl:3: 'two.png' is no picture");
    return std::vector<dataio::MediaItem>(static_cast<std::size_t>(s % 3), {{static_cast<float>(s)}, {1}});
  }
};

struct World {
  catalog::Modalities modalities;
  plan::Plan plan;
  explicit World(int microbatch_size = 1) : modalities({test::encoder("vision", 1, 1), test::llm(2, 1)}) {
    modalities[0].spec.item_shape = {1};
    modalities[1].spec.vocab_size = 10;
    auto config = test::config(2);
    config.batch.microbatch_size = microbatch_size;
    config.batch.sequence_length = 4;
    plan = value_or_throw(plan::make_plan(config, modalities, 6));  // two replicas of three ranks
  }
  train::RankBatch read(const dataio::Dataset& data, std::vector<std::int64_t> samples, int rank) const {
    return train::read_batch(data, std::move(samples), plan, modalities,
                             train::needs_of(plan, modalities, rank), rank, 2);
  }
};

/// Text and media of which some cannot be read. With several readers, sample 35 fails after sample 42.
class Broken : public Samples {
 public:
  explicit Broken(int readers) : readers_(readers) {}
  Result<dataio::TextRow> text(std::int64_t s) const override {
    if (s == 35 && readers_ > 1) later_.wait();
    if (s == 42) later_.count_down();
    if (s % 7 == 0) return fail(ExitCode::bad_data, cat("text ", s));
    return dataio::TextRow{{s, s, -1, 9}, {s, dataio::kIgnoreLabel, dataio::kIgnoreLabel, s}, 1 + s % 4};
  }
  Result<std::vector<dataio::MediaItem>> media(std::int64_t s, int) const override {
    if (s % 10 == 9) return fail(ExitCode::bad_data, cat("media ", s));
    return std::vector<dataio::MediaItem>(static_cast<std::size_t>(s % 3), {{static_cast<float>(s)}, {1}});
  }

 private:
  int readers_;
  mutable std::latch later_{1};
};

std::vector<double> no_bad(4, 0.0);

}  // namespace

TEST_CASE("a rank reads what its stages need") {
  const World w;
  // Ranks: vision 0 and 1, LLM stage 0: 2 and 3, LLM stage 1: 4 and 5.
  CHECK(train::needs_of(w.plan, w.modalities, 0).media[0]);
  CHECK(!train::needs_of(w.plan, w.modalities, 0).text);
  CHECK(train::needs_of(w.plan, w.modalities, 3).text);
  CHECK(!train::needs_of(w.plan, w.modalities, 5).media[0]);
  const Samples data;
  const auto encoder = w.read(data, {0, 1, 4, 5}, 1);
  CHECK(encoder.rows.empty());
  CHECK(encoder.media[0].size() == 2);
  CHECK(encoder.media[0][1].size() == 2);  // sample 5
  CHECK(encoder.infos.size() == 4);
}

TEST_CASE("a replica works on its block; what its microbatches contain is known everywhere") {
  const World w;
  const Samples data;
  auto batch = w.read(data, {0, 1, 4, 5}, 3);
  const auto step = train::assemble(std::move(batch), no_bad, w.plan, w.modalities, 3, 9, at::kDouble);
  CHECK(step.activity.items(0, 0) == 1);
  CHECK(step.activity.items(0, 1) == 2);
  CHECK(step.inputs.text[0].ids.sizes() == at::IntArrayRef({1, 4}));
  CHECK(step.inputs.text[1].ids[0][0].item<std::int64_t>() == 5);
  CHECK(step.inputs.text[1].targets.item<std::int64_t>() == 5);
  CHECK(step.tokens == 5 + 6);
  CHECK(step.token_pairs == 25 + 36);
  CHECK(step.visible_pairs == step.token_pairs / 2);
  CHECK(step.items == std::vector<double>{0 + 1 + 1 + 2});
  CHECK(step.reached == std::vector<bool>{true, true});
}

TEST_CASE("where products round, every rank of the LLM knows which rows are no padding") {
  World w(2);
  CHECK_FALSE(train::needs_of(w.plan, w.modalities, 0).text);
  for (plan::ModalityPlan& m : w.plan.modalities) m.fp8 = true;
  CHECK_FALSE(train::needs_of(w.plan, w.modalities, 0).text);
  const auto counted = [&](std::vector<std::int64_t> samples, std::vector<double> bad) {
    auto batch = w.read(Samples(), std::move(samples), 2);
    return train::assemble(std::move(batch), bad, w.plan, w.modalities, 2, 9, at::kDouble).inputs.counted;
  };
  const auto some = counted({0, 1, 4, 5}, {0, 0, 0, 0});
  REQUIRE(some.size() == 1);
  CHECK(some[0].equal(at::tensor({1, 0, 0, 0, 1, 1, 0, 0}, at::kInt).to(at::kBool)));
  const auto all = counted({3, 3, 4, 5}, {0, 0, 0, 0});
  REQUIRE(all.size() == 1);
  CHECK_FALSE(all[0].defined());
  CHECK(counted({3, 3, 4, 5}, {0, 1, 0, 0})[0].equal(
      at::tensor({1, 1, 1, 1, 0, 0, 0, 0}, at::kInt).to(at::kBool)));
}

TEST_CASE("nobody reaches an encoder that no sample of the global batch has media for") {
  const World w;
  const Samples data;
  auto batch = w.read(data, {0, 3, 6, 0}, 0);
  const auto step = train::assemble(std::move(batch), no_bad, w.plan, w.modalities, 0, 9, at::kDouble);
  CHECK(step.reached == std::vector<bool>{false, true});
  CHECK(!step.activity.forward(0, 0));
  CHECK(!step.inputs.media[0][0].defined());
}

TEST_CASE("a bad sample is an empty row on every rank") {
  const World w;
  const Samples data;
  auto encoder = w.read(data, {1, 2, 4, 5}, 0);
  CHECK(encoder.bad == std::vector<double>{0, 1, 0, 0});
  CHECK(encoder.problems == std::vector<std::string>{"train.jsonl:3: 'two.png' is no picture"});
  // The LLM's rank could read its part and hears of it from the other.
  auto text = w.read(data, {1, 2, 4, 5}, 2);
  const auto bad = encoder.bad;
  const auto media = train::assemble(std::move(encoder), bad, w.plan, w.modalities, 0, 9, at::kDouble);
  const auto step = train::assemble(std::move(text), bad, w.plan, w.modalities, 2, 9, at::kDouble);
  CHECK(step.skipped == 1);
  CHECK(media.activity.items(0, 1) == 0);
  CHECK(step.activity.items(0, 1) == 0);
  CHECK(step.inputs.text[1].ids.eq(9).all().item<bool>());
  CHECK(step.inputs.text[1].num_targets() == 0);
  CHECK(step.tokens == 2);
}

TEST_CASE("rows beyond the end of an evaluation are empty") {
  const World w;
  const Samples data;
  auto batch = w.read(data, {1, -1, -1, -1}, 2);
  const auto step = train::assemble(std::move(batch), no_bad, w.plan, w.modalities, 2, 9, at::kDouble);
  CHECK(step.inputs.text[1].ids.eq(9).all().item<bool>());
  CHECK(step.tokens == 2);
  CHECK(step.skipped == 0);
}

TEST_CASE("pairs of tokens count as far as the mask shows them") {
  World w;
  w.modalities[0].features_per_item = 2;
  w.modalities[1].attention_mask = config::AttentionMask::image_bidirectional;
  class Pictures : public Samples {
    Result<dataio::TextRow> text(std::int64_t) const override {
      return dataio::TextRow{{1, -1, -1, 9}, std::vector<std::int64_t>(4, dataio::kIgnoreLabel), 3};
    }
    dataio::SampleInfo info(std::int64_t) const override { return {{1}}; }
  };
  auto batch = w.read(Pictures(), {0, 1, 4, 5}, 3);
  const auto step = train::assemble(std::move(batch), no_bad, w.plan, w.modalities, 3, 9, at::kDouble);
  CHECK(step.token_pairs == 2 * 9);
  CHECK(step.visible_pairs ==
        2 * (1 + 3 + 3));  // two rows: text sees itself, the picture all of it and the text
}

TEST_CASE("what is read is the same for any number of readers") {
  World w(16);
  w.modalities[0].features_per_item = 1;
  w.modalities[1].attention_mask = config::AttentionMask::image_bidirectional;
  std::vector<std::int64_t> samples(64);
  std::iota(samples.begin(), samples.end(), 0);
  samples[40] = samples[63] = -1;
  for (const int readers : {1, 2, 7}) {
    CAPTURE(readers);
    const auto batch =
        train::read_batch(Broken(readers), samples, w.plan, w.modalities, {true, {true}}, 1, readers);
    CHECK(batch.problems ==
          std::vector<std::string>{"text 35", "media 39", "text 42", "text 49", "text 56", "media 59"});
    REQUIRE(batch.infos.size() == 64);
    REQUIRE(batch.rows.size() == 32);
    REQUIRE(batch.media[0].size() == 32);
    for (std::int64_t s = 0; s < 64; ++s) {
      CAPTURE(s);
      const auto i = static_cast<std::size_t>(s);
      const bool empty = samples[i] < 0, no_text = s % 7 == 0, no_media = s % 10 == 9;
      CHECK(batch.infos[i].items == std::vector<int>{empty ? 0 : static_cast<int>(s % 3)});
      if (s < 32) {
        CHECK(batch.bad[i] == 0);  // the other replica's
        continue;
      }
      CHECK(batch.bad[i] == (!empty && (no_text || no_media) ? 1 : 0));
      const dataio::TextRow& row = batch.rows[i - 32];
      CHECK(row.length == (empty || no_text ? 0 : 1 + s % 4));
      CHECK(row.ids == (empty || no_text ? std::vector<std::int64_t>{} : std::vector{s, s, -1L, 9L}));
      const auto& items = batch.media[0][i - 32];
      REQUIRE(items.size() == (empty || no_text || no_media ? 0 : i % 3));
      for (const dataio::MediaItem& item : items)
        CHECK(item.values == std::vector<float>{static_cast<float>(s)});
    }
    REQUIRE(batch.placed.size() == 2);
    for (std::size_t m = 0; m < 2; ++m) {
      std::int64_t pairs = 0;  // an item of one token sees what it would see as text
      for (std::size_t i = 16 * m; i < 16 * (m + 1); ++i)
        pairs += batch.rows[i].length * (batch.rows[i].length + 1) / 2;
      const auto keys = plan::visible_keys(batch.placed[m].pattern);
      CHECK(std::accumulate(keys.begin(), keys.end(), std::int64_t{0}) == pairs);
    }
  }
}
