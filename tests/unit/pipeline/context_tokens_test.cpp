#include "context_tokens.h"

#include "catch.h"
#include "cornstarch/comm/communicator.h"

using namespace cornstarch;

TEST_CASE("a rank takes the parts of its own tokens' positions") {
  std::vector<std::vector<std::int64_t>> parts(2);
  std::vector<std::int64_t> plain(2);
  comm::run_threads(2, {}, [&](const comm::CommunicatorPtr& c) {
    pipeline::PlacedTokens placed;
    const std::vector<std::int64_t> ids(4, 1);
    placed.pattern = plan::attention_pattern({{ids, {}}}, 4, config::AttentionMask::causal);
    placed.shares = {{0, 3}, {1, 2}};
    placed.positions = {{{0, 1, 1, 3}, {0, 1, 2, 3}, {0, 2, 1, 3}}};
    const pipeline::TokenSplit split{c, c->world(), c->rank(), config::SpMode::ring_attn};
    const auto rank = static_cast<std::size_t>(c->rank());
    const at::Tensor own = pipeline::split_text(split, placed, {}, 4).positions;
    const auto* begin = own.const_data_ptr<std::int64_t>();
    if (own.size(0) == 3) parts[rank].assign(begin, begin + own.numel());
    placed.positions = {};
    plain[rank] = pipeline::split_text(split, placed, {}, 4).positions.dim();
  });
  CHECK(parts[0] == std::vector<std::int64_t>{0, 3, 0, 3, 0, 3});
  CHECK(parts[1] == std::vector<std::int64_t>{1, 1, 1, 2, 2, 1});
  CHECK(plain == std::vector<std::int64_t>{1, 1});
}
