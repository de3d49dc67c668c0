#include "cornstarch/train/batch.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>

#include <latch>
#include <numeric>

#include "catch.h"
#include "plan_fixture.h"

using namespace cornstarch;

namespace {

std::vector<dataio::MediaItem> items_of(int n, std::int64_t s) {
  return std::vector<dataio::MediaItem>(static_cast<std::size_t>(n), {{static_cast<float>(s)}, {1}});
}

/// Sample s: text of s + 1 tokens with id s, and s % 3 media items of one value; sample 2 has a broken
/// picture.
class Samples : public dataio::Dataset {
 public:
  std::int64_t size() const override { return 8; }
  std::int64_t pad_id() const override { return 9; }
  dataio::SampleInfo info(std::int64_t s) const override { return {{static_cast<int>(s % 3)}}; }
  Result<dataio::SampleExtents> extents(std::int64_t s) const override {
    return dataio::SampleExtents{
        std::vector<catalog::Extents>(static_cast<std::size_t>(info(s).items[0]), catalog::Extents{})};
  }
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
    return items_of(static_cast<int>(s % 3), s);
  }
};

struct World {
  catalog::Modalities modalities;
  plan::Plan plan;
  explicit World(int microbatch_size = 1) : modalities({test::encoder("vision", 1, 1), test::llm(2, 1)}) {
    modalities[0].spec.item_shape = {1};
    modalities[0].drop_tokens = 1;  // an item of one place has no features
    catalog::BlockSpec layer;
    layer.attention.q = {"", 1, 5};
    modalities[0].spec.modules[0].body = layer;
    modalities[0].spec.modules[1].body = catalog::Projector{std::nullopt, {}, {"", 1, 5}};
    modalities[1].spec.vocab_size = 10;
    auto config = test::config(2);
    config.batch.microbatch_size = microbatch_size;
    config.batch.sequence_length = 4;
    plan = value_or_throw(plan::make_plan(config, modalities, 6));  // two replicas of three ranks
  }
  train::RankBatch read(const dataio::Dataset& data, std::vector<std::int64_t> samples, int rank) const {
    return train::read_batch(data, {std::move(samples)}, plan, modalities,
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
    dataio::TextRow row{{s, s, s, 9}, {s, dataio::kIgnoreLabel, dataio::kIgnoreLabel, s}, 1 + s % 4};
    for (int i = 0; i < items(s); ++i) row.ids[static_cast<std::size_t>(i)] = -1;
    return row;
  }
  dataio::SampleInfo info(std::int64_t s) const override { return {{items(s)}}; }
  Result<std::vector<dataio::MediaItem>> media(std::int64_t s, int) const override {
    if (s % 10 == 9) return fail(ExitCode::bad_data, cat("media ", s));
    return items_of(items(s), s);
  }

  static int items(std::int64_t s) { return static_cast<int>(std::min(s % 3, 1 + s % 4)); }

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
  CHECK(step.items == 3 * 10 * (1 + 2));
  CHECK(step.reached == std::vector<bool>{true, true});
}

TEST_CASE("where adapters drop some of what they take, tokens go by their place in the global batch") {
  World w;
  for (catalog::Modality& m : w.modalities) m.lora.emplace().dropout = 0.5;
  const Samples data;
  const auto names = [&](int rank, std::size_t modality, std::size_t microbatch) {
    const auto step =
        train::assemble(w.read(data, {0, 1, 4, 5}, rank), no_bad, w.plan, w.modalities, rank, 9, at::kDouble);
    CHECK(step.inputs.names[1 - modality].empty());
    return step.inputs.names[modality][microbatch];
  };
  const auto from = [](std::int64_t row, std::int64_t count) {
    return at::arange(count, at::kLong) + (row << 32);
  };
  CHECK(names(3, 1, 0).equal(from(2, 4)));
  CHECK(names(3, 1, 1).equal(from(3, 4)));
  CHECK(names(4, 1, 1).equal(from(1, 4)));
  const at::Tensor of_one_item = names(1, 0, 0), of_two = names(1, 0, 1);
  CHECK(of_one_item.equal(from(2, of_one_item.numel())));
  CHECK(of_two.equal(from(3, 2 * of_one_item.numel())));
}

TEST_CASE("where products round, the LLM's ranks know which rows are no padding") {
  World w;
  const auto counted = [&](std::vector<std::int64_t> samples, const std::vector<double>& bad) {
    auto batch = w.read(Samples(), std::move(samples), 2);
    return train::assemble(std::move(batch), bad, w.plan, w.modalities, 2, 9, at::kDouble).inputs.counted;
  };
  CHECK(counted({0, 3, 4, 5}, no_bad).empty());
  w.plan.modalities.back().fp8 = true;
  CHECK_FALSE(train::needs_of(w.plan, w.modalities, 0).text);
  const auto rows = counted({0, 3, 4, 5}, no_bad);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].equal(at::tensor({1, 0, 0, 0}, at::kInt).to(at::kBool)));
  CHECK_FALSE(rows[1].defined());
  CHECK(counted({0, 3, 4, 5}, {0, 1, 0, 0})[1].equal(at::tensor({0, 0, 0, 0}, at::kInt).to(at::kBool)));
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

TEST_CASE("microbatches without a sample can be left out") {
  const World w;
  const auto computed = [&](const std::vector<double>& bad) {
    auto batch = w.read(Samples(), {1, -1, 1, 4}, 2);
    batch.leaves_out_empty = true;
    const auto step = train::assemble(std::move(batch), bad, w.plan, w.modalities, 2, 9, at::kDouble);
    std::vector<bool> out;
    for (const plan::Activity* who : {&step.activity, &step.anyone})
      for (const int m : {0, 1}) out.push_back(who->forward(1, m));
    return out;
  };
  CHECK(computed(no_bad) == std::vector<bool>{true, false, true, true});
  CHECK(computed({0, 0, 0, 1}) == std::vector<bool>{true, false, true, false});
  CHECK(computed({1, 0, 0, 0}) == std::vector<bool>{false, false, true, true});
}

TEST_CASE("pairs of tokens count as far as the mask shows them") {
  World w;
  w.modalities[0].drop_tokens = 0;
  w.modalities[1].attention_mask = config::AttentionMask::image_bidirectional;
  class Pictures : public Samples {
    Result<dataio::TextRow> text(std::int64_t) const override {
      return dataio::TextRow{{1, -1, -1, 9}, std::vector<std::int64_t>(4, dataio::kIgnoreLabel), 3};
    }
    dataio::SampleInfo info(std::int64_t) const override { return {{1}}; }
    Result<dataio::SampleExtents> extents(std::int64_t) const override {
      return dataio::SampleExtents{{{1, 1, 2}}};
    }
  };
  auto batch = w.read(Pictures(), {0, 1, 4, 5}, 3);
  const auto step = train::assemble(std::move(batch), no_bad, w.plan, w.modalities, 3, 9, at::kDouble);
  CHECK(step.token_pairs == 2 * 9);
  CHECK(step.visible_pairs ==
        2 * (1 + 3 + 3));  // two rows: text sees itself, the picture all of it and the text
}

namespace {

/// Every sample has a picture of 2 x 1 places and one of 1 x 3, of two values each.
class Sizes : public Samples {
 public:
  explicit Sizes(float lost = 0) : lost_(lost) {}
  dataio::SampleInfo info(std::int64_t) const override { return {{2}}; }
  Result<dataio::SampleExtents> extents(std::int64_t) const override {
    return dataio::SampleExtents{{{1, 2, 1}, {1, 1, 3}}};
  }
  Result<std::vector<dataio::MediaItem>> media(std::int64_t s, int) const override {
    const auto first = static_cast<float>(100 * s);
    std::vector<dataio::MediaItem> out(2);
    for (int i = 0; i < 4; ++i) out[0].values.push_back(first + static_cast<float>(i));
    for (int i = 4; i < 10; ++i) out[1].values.push_back(first + static_cast<float>(i));
    if (lost_ != 0) out[1].values.pop_back();
    return out;
  }

 private:
  float lost_;
};

}  // namespace

TEST_CASE("items of different sizes lie one behind the other, each dealt to the ranks of sp") {
  World w;
  w.modalities = {test::encoder("vision", 1, 1, 2), test::llm(1, 1)};
  w.modalities[0].spec.item_shape = {2};
  w.modalities[1].spec.vocab_size = 10;
  auto config = test::config(1);
  config.batch.microbatch_size = 2;
  config.batch.sequence_length = 4;
  w.plan = value_or_throw(plan::make_plan(config, w.modalities, 3));
  const auto media = [&](int rank) {
    auto step =
        train::assemble(w.read(Sizes(), {1, 2}, rank), {0, 0}, w.plan, w.modalities, rank, 9, at::kDouble);
    CHECK(step.activity.items(0, 0) == 4);
    CHECK(step.inputs.items[0][0].features() == 10);
    CHECK(step.inputs.routes[0][0].leaving_rows(rank) == step.inputs.media[0][0].size(1));
    const at::Tensor rows = step.inputs.media[0][0];
    CHECK(rows.size(0) == 1);
    CHECK(rows.size(2) == 2);
    const at::Tensor flat = rows.flatten().contiguous();
    return std::vector<double>(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel());
  };
  CHECK(media(0) == std::vector<double>{100, 101, 104, 105, 200, 201, 204, 205});
  CHECK(media(1) == std::vector<double>{102, 103, 106, 107, 108, 109, 202, 203, 206, 207, 208, 209});
}

TEST_CASE("where rotary positions have parts, the tokens of pictures stand by rows and columns") {
  class Seen : public Sizes {
    Result<dataio::TextRow> text(std::int64_t) const override {
      return dataio::TextRow{
          {1, -1, -1, 1, -1, -1, -1, 9}, std::vector<std::int64_t>(8, dataio::kIgnoreLabel), 7};
    }
  };
  World w;
  w.modalities = {test::encoder("vision", 1, 1), test::llm(1, 1)};
  w.modalities[0].spec.item_shape = {2};
  w.modalities[1].spec.vocab_size = 10;
  catalog::BlockSpec layer;
  layer.attention.rope = catalog::RopeSpec{.sections = {1, 1}};
  w.modalities[1].spec.modules[0].body = layer;
  auto config = test::config(1);
  config.batch.microbatch_size = 2;
  config.batch.sequence_length = 8;
  w.plan = value_or_throw(plan::make_plan(config, w.modalities, 2));
  const plan::TokenLayout unknown = w.read(Seen(), {1, -1}, 0).placed.at(0).layout;
  CHECK_FALSE(unknown.is_plain());
  CHECK(unknown.rows().empty());
  auto batch = w.read(Seen(), {1, -1}, 1);
  REQUIRE(batch.placed.size() == 1);
  using Lists = std::vector<std::vector<std::int64_t>>;
  CHECK(batch.placed[0].layout.positions(0) ==
        Lists{{0, 1, 1, 3, 4, 4, 4}, {0, 1, 2, 3, 4, 4, 4}, {0, 1, 1, 3, 4, 5, 6}});
  const auto step = train::assemble(std::move(batch), {1, 0}, w.plan, w.modalities, 1, 9, at::kDouble);
  CHECK(step.inputs.placed[0].layout.positions(0) == Lists{{}, {}, {}});
  CHECK_FALSE(step.inputs.placed[0].layout.is_plain());
  layer.attention.rope->sections.clear();
  w.modalities[1].spec.modules[0].body = layer;
  const auto plain = w.read(Seen(), {1, -1}, 1);
  CHECK(plain.placed.at(0).layout.is_plain());
  CHECK(plain.placed[0].layout.rows().at(0) == Range{0, 7});
  CHECK(plain.placed[0].layout.rows().at(1) == Range{8, 8});
}

TEST_CASE("media that are not of the size that their header says make a sample bad") {
  World w;
  w.modalities[0].spec.item_shape = {2};
  CHECK(w.read(Sizes(), {1, 1, 1, 1}, 0).problems.empty());
  const auto batch = w.read(Sizes(1), {1, 1, 1, 1}, 0);
  CHECK(batch.bad == std::vector<double>{1, 1, 0, 0});
  CHECK(batch.problems[0] == "sample 1: its media are not of the size that they seemed to have");
}

TEST_CASE("what is read is the same for any number of readers") {
  World w(16);
  w.modalities[0].drop_tokens = 0;
  w.modalities[1].attention_mask = config::AttentionMask::image_bidirectional;
  std::vector<std::int64_t> samples(64);
  std::iota(samples.begin(), samples.end(), 0);
  samples[40] = samples[63] = -1;
  for (const int readers : {1, 2, 7}) {
    CAPTURE(readers);
    const auto batch =
        train::read_batch(Broken(readers), {samples}, w.plan, w.modalities, {true, {true}}, 1, readers);
    CHECK(batch.problems ==
          std::vector<std::string>{"text 35", "media 39", "text 42", "text 49", "text 56", "media 59"});
    REQUIRE(batch.infos.size() == 64);
    REQUIRE(batch.rows.size() == 32);
    REQUIRE(batch.media[0].size() == 32);
    for (std::int64_t s = 0; s < 64; ++s) {
      CAPTURE(s);
      const auto i = static_cast<std::size_t>(s);
      const bool empty = samples[i] < 0, no_text = s % 7 == 0, no_media = s % 10 == 9;
      CHECK(batch.infos[i].items == std::vector<int>{empty ? 0 : Broken::items(s)});
      if (s < 32) {
        CHECK(batch.bad[i] == 0);  // the other replica's
        continue;
      }
      CHECK(batch.bad[i] == (!empty && (no_text || no_media) ? 1 : 0));
      const dataio::TextRow& row = batch.rows[i - 32];
      CHECK(row.length == (empty || no_text ? 0 : 1 + s % 4));
      CHECK(row.ids.size() == (empty || no_text ? 0 : 4));
      CHECK(std::count(row.ids.begin(), row.ids.end(), -1) == (empty || no_text ? 0 : Broken::items(s)));
      const auto& items = batch.media[0][i - 32];
      REQUIRE(std::ssize(items) == (empty || no_text || no_media ? 0 : Broken::items(s)));
      for (const dataio::MediaItem& item : items)
        CHECK(item.values == std::vector<float>{static_cast<float>(s)});
    }
    REQUIRE(batch.placed.size() == 2);
    for (std::size_t m = 0; m < 2; ++m) {
      std::int64_t pairs = 0;  // an item of one token sees what it would see as text
      for (std::size_t i = 16 * m; i < 16 * (m + 1); ++i)
        pairs += batch.rows[i].length * (batch.rows[i].length + 1) / 2;
      const auto keys = plan::visible_keys(batch.placed[m].layout.pattern());
      CHECK(std::accumulate(keys.begin(), keys.end(), std::int64_t{0}) == pairs);
    }
  }
}
