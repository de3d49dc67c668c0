#include "data.h"

#include "cornstarch/dataio/run_data.h"

namespace cornstarch::train {

std::unique_ptr<dataio::ConversationDataset> open_data(const config::RunConfig& config,
                                                       const catalog::Modalities& modalities,
                                                       const std::vector<config::Dataset>& files) {
  const auto options = value_or_throw(dataio::conversation_options(config, modalities, files));
  return value_or_throw(dataio::ConversationDataset::open(options));
}

}  // namespace cornstarch::train
