#include "context_tokens.h"

#include "catch.h"
#include "cornstarch/comm/communicator.h"

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
    const pipeline::TokenSplit split{c, c->world(), c->rank(), config::SpMode::ring_attn};
    const auto rank = static_cast<std::size_t>(c->rank());
    const at::Tensor own =
        pipeline::split_tokens(split, laid({{{0, 1, 1, 3}, {0, 1, 2, 3}, {0, 2, 1, 3}}}), {}).positions;
    const auto* begin = own.const_data_ptr<std::int64_t>();
    if (own.size(0) == 3) parts[rank].assign(begin, begin + own.numel());
    plain[rank] = pipeline::split_tokens(split, laid({}), {}).positions.dim();
  });
  CHECK(parts[0] == std::vector<std::int64_t>{0, 3, 0, 3, 0, 3});
  CHECK(parts[1] == std::vector<std::int64_t>{1, 1, 1, 2, 2, 1});
  CHECK(plain == std::vector<std::int64_t>{1, 1});
}

TEST_CASE("layers take nothing of plain rows, and of others one layout for each window") {
  const auto comm = comm::alone();
  const pipeline::TokenSplit split{comm, comm->world()};
  const models::Tokens plain = pipeline::split_tokens(split, plan::TokenLayout::plain(2, 4), {});
  CHECK_FALSE(plain.layout);
  CHECK_FALSE(plain.positions.defined());
  const std::vector<std::int64_t> ids(4, 1);
  const auto causal = plan::attention_pattern({{ids, {}}}, 4, config::AttentionMask::causal);
  const auto narrow = plan::windowed(causal, 2);
  const std::vector<Range> rows{{0, 4}};
  const plan::TokenShares shares{{0, 1, 2, 3}};
  const models::Tokens mixed =
      pipeline::split_tokens(split, {rows, 4, {{0, causal}, {2, narrow}}, shares}, {});
  CHECK(mixed.windowed.size() == 1);
  CHECK(mixed.layout_of(0) == mixed.layout);
  CHECK(mixed.layout_of(2) != mixed.layout);
  const models::Tokens common = pipeline::split_tokens(split, {rows, 4, {{2, narrow}}, shares}, {});
  CHECK(common.layout);
  CHECK(common.layout_of(2) == common.layout);
}
