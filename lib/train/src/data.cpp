#include "data.h"

#include "cornstarch/dataio/probe.h"

namespace cornstarch::train {

std::unique_ptr<dataio::ConversationDataset> open_data(const config::RunConfig& config,
                                                       const Result<dataio::ConversationOptions>& options) {
  auto data = value_or_throw(dataio::ConversationDataset::open(value_or_throw(options)));
  const bool skips = config.data.on_bad_sample == config::OnBadSample::skip;
  value_or_throw(dataio::try_samples(*data, skips, config.seed, config.data.num_workers));
  return data;
}

}  // namespace cornstarch::train
