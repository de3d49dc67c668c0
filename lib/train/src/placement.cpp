#include "placement.h"

#include "cornstarch/base/text.h"
#include "cornstarch/catalog/token_ids.h"

namespace cornstarch::train {
namespace {

/// Per encoder, the LLM's rank that takes each feature row: the one that holds its placeholder.
std::vector<std::vector<int>> takers_of(std::span<const dataio::TextRow> rows,
                                        const plan::TokenLayout& layout, std::size_t encoders) {
  const std::vector<int> holders = layout.holders();
  std::vector<std::vector<int>> takers(encoders);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const auto first = static_cast<std::size_t>(layout.rows()[r].begin);
    for (std::size_t i = 0; i < rows[r].ids.size(); ++i)
      if (const std::int64_t id = rows[r].ids[i]; catalog::is_placeholder(id))
        takers.at(static_cast<std::size_t>(catalog::encoder_of(id))).push_back(holders[first + i]);
  }
  return takers;
}

}  // namespace

plan::TokenLayout lay_out(std::span<const dataio::TextRow> rows, std::span<const dataio::SampleExtents> items,
                          const plan::Plan& plan, const catalog::Modalities& modalities) {
  std::vector<plan::TextTokens> tokens;
  for (std::size_t r = 0; r < rows.size(); ++r) tokens.push_back({rows[r].ids, rows[r].length, items[r]});
  return plan::text_layout(tokens, plan::text_split(plan), modalities);
}

std::vector<plan::FeatureRoute> route_microbatch(const std::vector<plan::ItemLayout>& items,
                                                 std::span<const dataio::TextRow> rows,
                                                 const plan::TokenLayout& layout, const plan::Plan& plan) {
  const int llm_sp = plan.llm().sp;
  std::vector<std::vector<int>> takers;
  if (llm_sp > 1) takers = takers_of(rows, layout, items.size());
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
