#pragma once

#include <functional>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/config/run_config.h"
#include "cornstarch/dataio/dataset.h"
#include "cornstarch/dataio/sampler.h"

namespace cornstarch::train {

/// The steps of a run by where they begin: one sample a row, or rows that are packed, by what their samples'
/// tokens and media cost in the model. `data` and `modalities` must stay.
std::function<dataio::GlobalBatch(const dataio::Position&)> order_of_samples(
    const config::RunConfig& config, const catalog::Modalities& modalities, const dataio::Dataset& data,
    std::int64_t rows_per_step);

}  // namespace cornstarch::train
