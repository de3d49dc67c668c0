#include "context_tokens.h"

#include <algorithm>

namespace cornstarch::pipeline {
namespace {

/// [3, n], of these tokens.
at::Tensor take(const plan::PartPositions& positions, const std::vector<std::int64_t>& tokens) {
  std::vector<std::int64_t> out;
  for (const auto& part : positions)
    for (const std::int64_t token : tokens) out.push_back(part[static_cast<std::size_t>(token)]);
  return models::index_tensor(out).view({3, -1});
}

}  // namespace

models::Tokens split_items(const TokenSplit& split, const plan::ItemLayout& items) {
  models::Tokens tokens{
      nn::context_layout(items.pattern(), items.shares(), split.mode, split.comm, split.group), {}, 0};
  if (items.one_size()) return tokens;
  const auto own = items.positions(split.cp);
  tokens.positions = models::index_tensor(own);
  tokens.length = own.empty() ? 0 : *std::max_element(own.begin(), own.end()) + 1;
  return tokens;
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
  if (!placed.positions[0].empty()) tokens.positions = take(placed.positions, own);
  return tokens;
}

}  // namespace cornstarch::pipeline
