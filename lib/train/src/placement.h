#pragma once

#include <span>
#include <vector>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/dataio/dataset.h"
#include "cornstarch/plan/feature_route.h"
#include "cornstarch/plan/plan.h"
#include "cornstarch/plan/text_layout.h"

/// What plan makes of the data of a microbatch; the same on every rank of a replica.
namespace cornstarch::train {

/// `items`: of the same samples. No rows on ranks that do not know them.
plan::TokenLayout lay_out(std::span<const dataio::TextRow> rows, std::span<const dataio::SampleExtents> items,
                          const plan::Plan& plan, const catalog::Modalities& modalities);

/// Per encoder: the route of its features of one microbatch. `items`: per encoder; `rows`, `layout`: of its
/// text, used where the LLM's tokens are split over ranks.
std::vector<plan::FeatureRoute> route_microbatch(const std::vector<plan::ItemLayout>& items,
                                                 std::span<const dataio::TextRow> rows,
                                                 const plan::TokenLayout& layout, const plan::Plan& plan);

}  // namespace cornstarch::train
