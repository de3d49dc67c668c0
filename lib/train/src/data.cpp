#include "data.h"

#include "cornstarch/dataio/probe.h"
#include "cornstarch/dataio/run_data.h"

namespace cornstarch::train {

std::unique_ptr<dataio::ConversationDataset> open_data(const config::RunConfig& config,
                                                       const catalog::Modalities& modalities,
                                                       const std::vector<config::Dataset>& files) {
  const auto options = value_or_throw(dataio::conversation_options(config, modalities, files));
  auto data = value_or_throw(dataio::ConversationDataset::open(options));
  const bool skips = config.data.on_bad_sample == config::OnBadSample::skip;
  value_or_throw(dataio::try_samples(*data, skips, config.seed, config.data.num_workers));
  return data;
}

}  // namespace cornstarch::train
