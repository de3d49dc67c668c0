#include "data.h"

#include <filesystem>

#include "cornstarch/base/files.h"

namespace cornstarch::train {
namespace {

dataio::MediaSource source_of(const catalog::Modality& modality) {
  dataio::MediaSource source;
  source.placeholder = modality.placeholder;
  source.kind =
      modality.spec.kind == catalog::ModelKind::audio ? dataio::MediaKind::audio : dataio::MediaKind::image;
  source.features_per_item = modality.features_per_item;
  source.item_shape = modality.spec.item_shape;
  if (modality.pretrained) {
    const auto path = std::filesystem::path(*modality.pretrained) / "preprocessor_config.json";
    if (std::filesystem::exists(path)) source.preprocessor_json = value_or_throw(read_file(path));
  }
  return source;
}

}  // namespace

std::unique_ptr<dataio::ConversationDataset> open_data(const config::RunConfig& config,
                                                       const catalog::Modalities& modalities,
                                                       const std::vector<config::Dataset>& files) {
  dataio::ConversationOptions options;
  for (const config::Dataset& file : files) {
    const std::filesystem::path path = file.path;
    options.files.push_back(
        {path, file.media_root ? std::filesystem::path(*file.media_root) : path.parent_path(), file.weight});
  }
  options.tokenizer = config.data.tokenizer;
  options.chat_template = config::name_of(config.data.chat_template);
  options.sequence_length = config.batch.sequence_length;
  for (const catalog::Modality& modality : modalities)
    if (!catalog::is_llm(modality)) options.media.push_back(source_of(modality));
  return value_or_throw(dataio::ConversationDataset::open(options));
}

}  // namespace cornstarch::train
