#include "context_tokens.h"

#include <algorithm>

namespace cornstarch::pipeline {
namespace {

/// [3, n].
at::Tensor tensor_of(const plan::PartPositions& positions) {
  std::vector<std::int64_t> out;
  for (const auto& part : positions) out.insert(out.end(), part.begin(), part.end());
  return models::index_tensor(out).view({3, std::ssize(positions[0])});
}

/// Those of these tokens.
plan::PartPositions take(const plan::PartPositions& positions, const std::vector<std::int64_t>& tokens) {
  plan::PartPositions out;
  for (std::size_t part = 0; part < out.size(); ++part)
    for (const std::int64_t token : tokens)
      out[part].push_back(positions[part][static_cast<std::size_t>(token)]);
  return out;
}

/// The longest side of a picture, in places.
std::int64_t longest_side(const plan::ItemLayout& items) {
  std::int64_t longest = 0;
  for (const catalog::Extents& item : items.items()) longest = std::max({longest, item.h, item.w});
  return longest;
}

}  // namespace

models::Tokens split_items(const TokenSplit& split, const plan::ItemLayout& items) {
  const auto layout_of = [&](std::int64_t window) {
    return nn::context_layout(items.pattern(window), items.shares(), split.mode, split.comm, split.group);
  };
  models::Tokens tokens{layout_of(0), {}, 0};
  if (items.one_size()) return tokens;
  for (const std::int64_t window : catalog::windows_of(items.encoder(), longest_side(items)))
    tokens.windowed[window] = layout_of(window);
  const bool grid = catalog::notices_grids(items.encoder());
  tokens.positions =
      grid ? tensor_of(items.grid_positions(split.cp)) : models::index_tensor(items.positions(split.cp));
  tokens.length = tokens.positions.numel() == 0 ? 0 : tokens.positions.max().item<std::int64_t>() + 1;
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
  if (!placed.positions[0].empty()) tokens.positions = tensor_of(take(placed.positions, own));
  return tokens;
}

}  // namespace cornstarch::pipeline
