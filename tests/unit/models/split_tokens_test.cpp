#include "cornstarch/models/split_tokens.h"

#include "catch.h"

using namespace cornstarch;

TEST_CASE("a rank takes the parts of its own tokens' positions") {
  std::vector<std::vector<std::int64_t>> parts(2);
  std::vector<std::int64_t> plain(2);
  comm::run_threads(2, {}, [&](const comm::CommunicatorPtr& c) {
    const std::vector<std::int64_t> ids(4, 1);
    const auto laid = [&](const plan::PartPositions& positions) {
      return plan::TokenLayout({{0, 4}}, 4,
                               {{0, plan::attention_pattern({{ids, {}}}, 4, config::AttentionMask::causal)}},
                               {{0, 3}, {1, 2}}, positions);
    };
    const models::TokenSplit split{c, c->world(), config::SpMode::ring_attn};
    const auto rank = static_cast<std::size_t>(c->rank());
    const at::Tensor own =
        models::split_tokens(laid({{{0, 1, 1, 3}, {0, 1, 2, 3}, {0, 2, 1, 3}}}), {}, split).positions;
    const auto* begin = own.const_data_ptr<std::int64_t>();
    if (own.size(0) == 3) parts[rank].assign(begin, begin + own.numel());
    plain[rank] = models::split_tokens(laid({}), {}, split).positions.dim();
  });
  CHECK(parts[0] == std::vector<std::int64_t>{0, 3, 0, 3, 0, 3});
  CHECK(parts[1] == std::vector<std::int64_t>{1, 1, 1, 2, 2, 1});
  CHECK(plain == std::vector<std::int64_t>{1, 1});
}

TEST_CASE("layers take nothing of plain rows, and of others one layout for each window") {
  const models::Tokens plain = models::split_tokens(plan::TokenLayout::plain(2, 4), {});
  CHECK_FALSE(plain.layout);
  CHECK_FALSE(plain.positions.defined());
  const std::vector<std::int64_t> ids(4, 1);
  const auto causal = plan::attention_pattern({{ids, {}}}, 4, config::AttentionMask::causal);
  const auto narrow = plan::windowed(causal, 2);
  const std::vector<Range> rows{{0, 4}};
  const plan::TokenShares shares{{0, 1, 2, 3}};
  const models::Tokens mixed = models::split_tokens({rows, 4, {{0, causal}, {2, narrow}}, shares}, {});
  CHECK(mixed.windowed.size() == 1);
  CHECK(mixed.layout_of(0) == mixed.layout);
  CHECK(mixed.layout_of(2) != mixed.layout);
  const models::Tokens common = models::split_tokens({rows, 4, {{2, narrow}}, shares}, {});
  CHECK(common.layout);
  CHECK(common.layout_of(2) == common.layout);
}
