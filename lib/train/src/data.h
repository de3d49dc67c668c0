#pragma once

#include <memory>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/config/run_config.h"
#include "cornstarch/dataio/conversations.h"

namespace cornstarch::train {

/// The conversations that a config names, prepared for its encoders. Some are tried: a run that would learn
/// from nothing does not begin. Throws Failure.
std::unique_ptr<dataio::ConversationDataset> open_data(const config::RunConfig& config,
                                                       const catalog::Modalities& modalities,
                                                       const std::vector<config::Dataset>& files);

}  // namespace cornstarch::train
