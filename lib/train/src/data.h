#pragma once

#include <memory>

#include "cornstarch/config/run_config.h"
#include "cornstarch/dataio/conversations.h"

namespace cornstarch::train {

/// The conversations that `options` name. Some are tried: a run that would learn from nothing does not begin.
/// Throws Failure.
std::unique_ptr<dataio::ConversationDataset> open_data(const config::RunConfig& config,
                                                       const Result<dataio::ConversationOptions>& options);

}  // namespace cornstarch::train
