#include "placement.h"

#include <algorithm>

#include "cornstarch/base/text.h"
#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/catalog/token_ids.h"

namespace cornstarch::train {
namespace {

/// Per encoder, the LLM's rank that takes each feature row: the one that holds its placeholder.
std::vector<std::vector<int>> takers_of(std::span<const dataio::TextRow> rows, std::int64_t row_length,
                                        const plan::TokenShares& shares, std::size_t encoders) {
  std::vector<int> holder(rows.size() * static_cast<std::size_t>(row_length), 0);
  for (std::size_t rank = 0; rank < shares.size(); ++rank)
    for (const std::int64_t token : shares[rank])
      holder[static_cast<std::size_t>(token)] = static_cast<int>(rank);
  std::vector<std::vector<int>> takers(encoders);
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t i = 0; i < rows[r].ids.size(); ++i)
      if (const std::int64_t id = rows[r].ids[i]; catalog::is_placeholder(id))
        takers.at(static_cast<std::size_t>(catalog::encoder_of(id)))
            .push_back(holder[r * static_cast<std::size_t>(row_length) + i]);
  return takers;
}

/// Per encoder, the rows that each item of a sample gives.
std::vector<std::vector<std::int64_t>> features_of(const dataio::SampleExtents& items,
                                                   const catalog::Modalities& modalities) {
  std::vector<std::vector<std::int64_t>> out(items.size());
  for (std::size_t e = 0; e < items.size(); ++e)
    for (const catalog::Extents& item : items[e]) out[e].push_back(catalog::features_of(modalities[e], item));
  return out;
}

/// Adds those of a row that is padded to `length`.
void add_positions(const dataio::TextRow& row, std::int64_t length, const dataio::SampleExtents& items,
                   const catalog::Modalities& modalities, plan::PartPositions& out) {
  std::vector<std::vector<catalog::Extents>> grids(items.size());
  for (std::size_t e = 0; e < items.size(); ++e)
    for (const catalog::Extents& item : items[e])
      if (const auto grid = catalog::feature_grid(modalities[e], item)) grids[e].push_back(*grid);
  plan::PartPositions own =
      plan::rope_positions(std::span(row.ids).first(static_cast<std::size_t>(row.length)), grids);
  for (std::size_t part = 0; part < own.size(); ++part) {
    own[part].resize(static_cast<std::size_t>(length), 0);
    out[part].insert(out[part].end(), own[part].begin(), own[part].end());
  }
}

/// Whether the LLM turns the tokens of pictures by where in them they lie.
bool turns_by_grid(const catalog::Modalities& modalities) {
  return catalog::notices_grids(modalities.back().spec) &&
         std::any_of(modalities.begin(), modalities.end() - 1,
                     [](const catalog::Modality& encoder) { return !catalog::fixed_extents(encoder.spec); });
}

}  // namespace

bool places_tokens(const plan::Plan& plan, const catalog::Modalities& modalities) {
  const catalog::Modality& llm = modalities.back();
  return plan.packing || plan.llm().sp > 1 || llm.attention_mask != config::AttentionMask::causal ||
         !catalog::windows_of(llm.spec, plan.sequence_length).empty() ||
         catalog::notices_length(llm.spec, plan.sequence_length) || turns_by_grid(modalities);
}

pipeline::PlacedTokens place_tokens(std::span<const dataio::TextRow> rows,
                                    std::span<const dataio::SampleExtents> items, const plan::Plan& plan,
                                    const catalog::Modalities& modalities) {
  std::vector<plan::PatternRow> pattern_rows;
  for (std::size_t r = 0; r < rows.size(); ++r)
    pattern_rows.push_back({std::span(rows[r].ids).first(static_cast<std::size_t>(rows[r].length)),
                            {},
                            features_of(items[r], modalities)});
  const catalog::Modality& llm = modalities.back();
  pipeline::PlacedTokens out;
  for (const dataio::TextRow& row : rows) out.lengths.push_back(row.length);
  if (turns_by_grid(modalities))
    for (std::size_t r = 0; r < rows.size(); ++r)
      add_positions(rows[r], plan.sequence_length, items[r], modalities, out.positions);
  out.pattern = plan::attention_pattern(pattern_rows, plan.sequence_length, llm.attention_mask);
  if (const std::int64_t window = catalog::common_window(llm.spec); window > 0)
    out.pattern = plan::windowed(std::move(out.pattern), window);
  const plan::ModalityPlan& ranks = plan.llm();
  out.shares = plan::distribute(out.pattern, ranks.sp, ranks.distribution,
                                ranks.mode.value_or(config::SpMode::all_to_all));
  return out;
}

std::vector<plan::FeatureRoute> route_microbatch(const std::vector<plan::ItemLayout>& items,
                                                 std::span<const dataio::TextRow> rows,
                                                 const pipeline::PlacedTokens* placed,
                                                 const plan::Plan& plan) {
  const int llm_sp = plan.llm().sp;
  std::vector<std::vector<int>> takers;
  if (llm_sp > 1) takers = takers_of(rows, plan.sequence_length, placed->shares, items.size());
  std::vector<plan::FeatureRoute> out;
  for (std::size_t e = 0; e < items.size(); ++e) {
    const auto features = static_cast<std::size_t>(items[e].features());
    if (llm_sp == 1) takers.emplace_back(features, 0);
    if (takers[e].size() != features)
      throw Failure(ExitCode::internal, cat("encoder ", e, ": ", takers[e].size(), " placeholders for ",
                                            features, " feature rows"));
    out.push_back(plan::route_features(items[e], takers[e], llm_sp));
  }
  return out;
}

}  // namespace cornstarch::train
