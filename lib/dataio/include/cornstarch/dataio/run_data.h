#pragma once

#include <vector>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/config/run_config.h"
#include "cornstarch/dataio/conversations.h"

/// What a config and its model families say of the data, for ConversationDataset::open.
namespace cornstarch::dataio {

/// How the media of an encoder are found and prepared: with the preprocessor_config.json beside its weights,
/// if there is one.
Result<MediaSource> media_source(const catalog::Modality& encoder);

TokenTexts token_texts(const config::Data& data);

Result<ConversationOptions> conversation_options(const config::RunConfig& config,
                                                 const catalog::Modalities& modalities,
                                                 const std::vector<config::Dataset>& files);
/// Of data.train what is not held out.
Result<ConversationOptions> training_data(const config::RunConfig& config,
                                          const catalog::Modalities& modalities);
/// data.eval, and behind it what eval.hold_out holds out of data.train, each sample once.
Result<ConversationOptions> held_out_data(const config::RunConfig& config,
                                          const catalog::Modalities& modalities);

}  // namespace cornstarch::dataio
