#include "cornstarch/plan/text_layout.h"

#include <algorithm>
#include <utility>

#include "cornstarch/catalog/module_kind.h"

namespace cornstarch::plan {
namespace {

std::span<const std::int64_t> real(const TextTokens& row) {
  return row.ids.first(static_cast<std::size_t>(row.length));
}

/// Whether the LLM turns the tokens of pictures by where in them they lie.
bool turns_by_grid(const catalog::Modalities& modalities) {
  return catalog::notices_grids(modalities.back().spec) &&
         std::any_of(modalities.begin(), modalities.end() - 1,
                     [](const catalog::Modality& encoder) { return !catalog::fixed_extents(encoder.spec); });
}

/// Per encoder, the rows that each item of a sample gives.
std::vector<std::vector<std::int64_t>> features_of(const TextTokens& row,
                                                   const catalog::Modalities& modalities) {
  std::vector<std::vector<std::int64_t>> out(row.items.size());
  for (std::size_t e = 0; e < out.size(); ++e)
    for (const catalog::Extents& item : row.items[e])
      out[e].push_back(catalog::features_of(modalities[e], item));
  return out;
}

/// Adds the positions of a row that is padded to `length`.
void add_parts(const TextTokens& row, std::int64_t length, const catalog::Modalities& modalities,
               PartPositions& out) {
  std::vector<std::vector<catalog::Extents>> grids(row.items.size());
  for (std::size_t e = 0; e < grids.size(); ++e)
    for (const catalog::Extents& item : row.items[e])
      if (const auto grid = catalog::feature_grid(modalities[e], item)) grids[e].push_back(*grid);
  PartPositions own = rope_positions(real(row), grids);
  for (std::size_t part = 0; part < own.size(); ++part) {
    own[part].resize(static_cast<std::size_t>(length), 0);
    out[part].insert(out[part].end(), own[part].begin(), own[part].end());
  }
}

/// What the LLM's layers see of each other's tokens, each through its window.
TokenLayout::Patterns patterns_of(AttentionPattern seen, std::int64_t length, const catalog::ModelSpec& llm) {
  TokenLayout::Patterns out;
  for (const std::int64_t window : catalog::windows_of(llm, length)) out[window] = windowed(seen, window);
  if (out.count(catalog::common_window(llm)) == 0) out[0] = std::move(seen);
  return out;
}

}  // namespace

TextSplit text_split(const Plan& plan) {
  const ModalityPlan& llm = plan.llm();
  return {plan.microbatch_size,
          plan.sequence_length,
          plan.packing != config::Packing::none,
          llm.sp,
          llm.distribution,
          llm.mode.value_or(config::SpMode::all_to_all)};
}

bool lies_plain(const TextSplit& split, const catalog::Modalities& modalities) {
  const catalog::Modality& llm = modalities.back();
  return !split.packing && split.ranks == 1 && llm.attention_mask == config::AttentionMask::causal &&
         catalog::windows_of(llm.spec, split.length).empty() &&
         !catalog::notices_length(llm.spec, split.length) && !turns_by_grid(modalities);
}

TokenLayout text_layout(std::span<const TextTokens> rows, const TextSplit& split,
                        const catalog::Modalities& modalities) {
  const std::int64_t length = split.length;
  if (lies_plain(split, modalities)) {
    std::vector<std::int64_t> lengths;
    for (const TextTokens& row : rows) lengths.push_back(row.length);
    return TokenLayout::plain(split.rows, length, lengths);
  }
  std::vector<Range> ranges;
  std::vector<PatternRow> pattern_rows;
  PartPositions parts;
  for (const TextTokens& row : rows) {
    const std::int64_t first = std::ssize(ranges) * length;
    ranges.push_back({first, first + row.length});
    pattern_rows.push_back({real(row), {}, features_of(row, modalities)});
    if (turns_by_grid(modalities)) add_parts(row, length, modalities, parts);
  }
  const catalog::Modality& llm = modalities.back();
  return deal(std::move(ranges), attention_pattern(pattern_rows, length, llm.attention_mask), split, llm.spec,
              std::move(parts));
}

TokenLayout deal(std::vector<Range> rows, AttentionPattern seen, const TextSplit& split,
                 const catalog::ModelSpec& llm, PartPositions parts) {
  TokenLayout::Patterns patterns = patterns_of(std::move(seen), split.length, llm);
  // Where layers differ, by the work of those that see most.
  TokenShares shares = distribute(patterns.begin()->second, split.ranks, split.distribution, split.mode);
  return {std::move(rows), split.length, std::move(patterns), std::move(shares), std::move(parts)};
}

}  // namespace cornstarch::plan
