#pragma once

#include <span>
#include <vector>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/dataio/dataset.h"
#include "cornstarch/pipeline/executor.h"
#include "cornstarch/plan/plan.h"

/// Which rank holds which tokens of a microbatch; the same on every rank of a replica.
namespace cornstarch::train {

/// Whether the LLM's tokens do not simply lie as padded rows: they are packed or split over ranks, or the
/// mask is another than causal.
bool places_tokens(const plan::Plan& plan, const catalog::Modalities& modalities);

/// `items`: of the same samples.
pipeline::PlacedTokens place_tokens(std::span<const dataio::TextRow> rows,
                                    std::span<const dataio::SampleExtents> items, const plan::Plan& plan,
                                    const catalog::Modalities& modalities);

/// Per encoder: the route of its features of one microbatch. `items`: per encoder; `rows`, `placed`: of the
/// microbatch, used where the LLM's tokens are split over ranks.
std::vector<plan::FeatureRoute> route_microbatch(const std::vector<plan::ItemLayout>& items,
                                                 std::span<const dataio::TextRow> rows,
                                                 const pipeline::PlacedTokens* placed,
                                                 const plan::Plan& plan);

}  // namespace cornstarch::train
