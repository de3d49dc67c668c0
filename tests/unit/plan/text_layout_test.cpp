#include "cornstarch/plan/text_layout.h"

#include "catch.h"
#include "plan_fixture.h"

using namespace cornstarch;
using plan::TextTokens;
using plan::TokenLayout;
using List = std::vector<std::int64_t>;

namespace {

/// An LLM of two layers on rows of four tokens, two in a microbatch.
struct World {
  catalog::Modalities modalities;
  plan::Plan plan;

  explicit World(int sp = 1) : modalities({test::llm(1, 1, sp)}) {
    auto config = test::config(1);
    config.batch.microbatch_size = 2;
    config.batch.sequence_length = 4;
    plan = value_or_throw(plan::make_plan(config, modalities, sp));
  }
  void windows(std::int64_t first, std::int64_t second) {
    catalog::BlockSpec block;
    block.attention.window = first;
    modalities[0].spec.modules[0].body = block;
    block.attention.window = second;
    modalities[0].spec.modules[1].body = block;
  }
  TokenLayout layout() const {
    static const List ids{1, 2, 3, 9, 4, 9, 9, 9};
    const std::vector<TextTokens> rows{{std::span(ids).first(4), 3}, {std::span(ids).last(4), 1}};
    return plan::text_layout(rows, plan::text_split(plan), modalities);
  }
};

List seen(const TokenLayout& layout, std::int64_t window) {
  return plan::visible_keys(layout.pattern(window));
}

}  // namespace

TEST_CASE("text that only sees what precedes it lies in plain rows, known or not") {
  World w;
  CHECK(plan::lies_plain(plan::text_split(w.plan), w.modalities));
  CHECK(w.layout().is_plain());
  CHECK(w.layout().rows() == std::vector<Range>{{0, 3}, {4, 5}});
  const TokenLayout unknown = plan::text_layout({}, plan::text_split(w.plan), w.modalities);
  CHECK(unknown.is_plain());
  CHECK(unknown.rows() == std::vector<Range>{{0, 4}, {4, 8}});
  w.windows(4, 4);  // as long as a row: nobody notices
  CHECK(w.layout().is_plain());
}

TEST_CASE("packed text is its real tokens, one behind the other") {
  World w;
  w.plan.packing = config::Packing::microbatch;
  const TokenLayout layout = w.layout();
  CHECK_FALSE(layout.is_plain());
  CHECK(layout.shares() == plan::TokenShares{{0, 1, 2, 4}});
  CHECK(layout.length() == 4);
  CHECK(seen(layout, 0) == List{1, 2, 3, 0, 1, 0, 0, 0});
}

TEST_CASE("text is dealt to the ranks of sp") {
  World w(2);
  w.plan.modalities.back().distribution = config::Distribution::uniform;
  const TokenLayout layout = w.layout();
  CHECK_FALSE(plan::lies_plain(plan::text_split(w.plan), w.modalities));
  CHECK(layout.shares() == plan::TokenShares{{0, 1}, {2, 4}});
  CHECK(layout.holders() == std::vector<int>{0, 0, 1, 0, 1, 0, 0, 0});
}

TEST_CASE("who does not know rows that are not plain has none of their tokens") {
  const World w(2);
  const TokenLayout unknown = plan::text_layout({}, plan::text_split(w.plan), w.modalities);
  CHECK_FALSE(unknown.is_plain());
  CHECK(unknown.rows().empty());
  CHECK(unknown.shares() == plan::TokenShares(2));
}

TEST_CASE("a prompt is one row, all of it on one rank") {
  World w;
  const List ids{1, 2, 3};
  const TextTokens row{ids, 3};
  CHECK(plan::text_layout({&row, 1}, {.length = 3}, w.modalities).is_plain());
  w.windows(2, 2);
  const TokenLayout seen_in_part = plan::text_layout({&row, 1}, {.length = 3}, w.modalities);
  CHECK(seen_in_part.shares() == plan::TokenShares{{0, 1, 2}});
  CHECK(seen(seen_in_part, 2) == List{1, 2, 2});
}

TEST_CASE("a mask other than causal is none that a row tells") {
  World w;
  w.modalities[0].attention_mask = config::AttentionMask::image_bidirectional;
  CHECK_FALSE(w.layout().is_plain());
}

TEST_CASE("layers see through the windows that rows notice") {
  World w;
  w.windows(0, 2);
  CHECK(w.layout().patterns().size() == 2);
  CHECK(seen(w.layout(), 0) == List{1, 2, 3, 0, 1, 0, 0, 0});
  CHECK(seen(w.layout(), 2) == List{1, 2, 2, 0, 1, 0, 0, 0});
  w.windows(2, 2);
  CHECK(w.layout().patterns().size() == 1);
  CHECK(seen(w.layout(), 2) == List{1, 2, 2, 0, 1, 0, 0, 0});
}
