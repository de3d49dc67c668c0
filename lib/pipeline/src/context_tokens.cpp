#include "context_tokens.h"

#include <algorithm>

#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/plan/item_parts.h"

namespace cornstarch::pipeline {

models::Tokens split_items(const TokenSplit& split, int items, const catalog::ModelSpec& encoder) {
  const int ranks = split.group->size();
  const auto layer = std::find_if(encoder.modules.begin(), encoder.modules.end(), catalog::is_layer);
  const auto at = static_cast<int>(layer - encoder.modules.begin());
  const std::int64_t tokens = plan::item_places(encoder, at, 1, 0).size();
  plan::TokenShares shares(static_cast<std::size_t>(ranks));
  for (int c = 0; c < ranks; ++c)
    for (int i = 0; i < items; ++i) {
      const Range own = plan::item_places(encoder, at, ranks, c);
      for (auto t = own.begin; t < own.end; ++t)
        shares[static_cast<std::size_t>(c)].push_back(i * tokens + t);
    }
  return {nn::context_layout(plan::item_pattern(items, tokens), shares, split.mode, split.comm, split.group),
          {},
          0};
}

models::Tokens split_text(const TokenSplit& split, const PlacedTokens& placed, const catalog::ModelSpec& llm,
                          std::int64_t sequence_length) {
  const auto layout_of = [&](const plan::AttentionPattern& pattern) {
    return nn::context_layout(pattern, placed.shares, split.mode, split.comm, split.group);
  };
  const auto& own = placed.shares[static_cast<std::size_t>(split.cp)];
  models::Tokens tokens{{}, models::index_tensor(own).remainder_(sequence_length), sequence_length};
  if (catalog::notices_length(llm, sequence_length))
    tokens.rows = {models::index_tensor(own).div_(sequence_length, "floor"), placed.lengths};
  for (const std::int64_t window : catalog::windows_of(llm, sequence_length))
    tokens.windowed[window] = layout_of(plan::windowed(placed.pattern, window));
  const auto common = tokens.windowed.find(catalog::common_window(llm));
  tokens.layout = common != tokens.windowed.end() ? common->second : layout_of(placed.pattern);
  return tokens;
}

}  // namespace cornstarch::pipeline
