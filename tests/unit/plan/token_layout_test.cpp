#include "cornstarch/plan/token_layout.h"

#include "catch.h"

using namespace cornstarch;
using plan::TokenLayout;
using List = std::vector<std::int64_t>;
using Lists = std::vector<List>;

namespace {

/// Rows of three tokens and of one, padded to four, on two ranks.
TokenLayout dealt(plan::PartPositions parts = {}) {
  static const List three(3, 7), one(1, 7);
  const auto causal = plan::attention_pattern({{three, {}}, {one, {}}}, 4, config::AttentionMask::causal);
  return {
      {{0, 3}, {4, 5}}, 4, {{0, causal}, {2, plan::windowed(causal, 2)}}, {{0, 4}, {1, 2}}, std::move(parts)};
}

}  // namespace

TEST_CASE("plain rows are held whole, padding and all, by the one rank") {
  const TokenLayout rows = TokenLayout::plain(2, 3, {3, 1});
  CHECK(rows.is_plain());
  CHECK(rows.rows() == std::vector<Range>{{0, 3}, {3, 4}});
  CHECK(rows.length() == 3);
  CHECK(rows.held(0) == List{0, 1, 2, 3, 4, 5});
  CHECK(rows.count(0) == 6);
  CHECK(rows.holds_padding());
  CHECK(rows.holders() == std::vector<int>(6, 0));
  CHECK(rows.positions(0) == Lists{{0, 1, 2, 0, 1, 2}});
  CHECK_FALSE(TokenLayout::plain(2, 3, {3, 3}).holds_padding());
  CHECK_FALSE(TokenLayout::plain(2, 3).holds_padding());  // nobody knows
}

TEST_CASE("where tokens are dealt, ranks hold no padding, and each token is in its row") {
  const TokenLayout rows = dealt();
  CHECK_FALSE(rows.is_plain());
  CHECK_FALSE(rows.holds_padding());
  CHECK(rows.count(1) == 2);
  CHECK(rows.holders() == std::vector<int>{0, 1, 1, 0, 0, 0, 0, 0});
  CHECK(rows.place(2) == plan::TokenPlace{0, 2});
  CHECK(rows.place(4) == plan::TokenPlace{1, 0});
  CHECK(rows.positions(0) == Lists{{0, 0}});
  CHECK(rows.positions(1) == Lists{{1, 2}});
}

TEST_CASE("a rank takes the parts of its own tokens' positions, in as many parts where it has none") {
  const TokenLayout rows =
      dealt({List{0, 1, 1, 0, 5, 0, 0, 0}, List{0, 1, 2, 0, 6, 0, 0, 0}, List{0, 2, 1, 0, 7, 0, 0, 0}});
  CHECK(rows.positions(0) == Lists{{0, 5}, {0, 6}, {0, 7}});
  CHECK(rows.positions(1) == Lists{{1, 1}, {1, 2}, {2, 1}});
}

TEST_CASE("layers that notice no window see what those without one do") {
  const TokenLayout rows = dealt();
  CHECK(plan::visible_keys(rows.pattern(2)) == List{1, 2, 2, 0, 1, 0, 0, 0});
  for (const std::int64_t window : {0, 9})
    CHECK(plan::visible_keys(rows.pattern(window)) == List{1, 2, 3, 0, 1, 0, 0, 0});
}
