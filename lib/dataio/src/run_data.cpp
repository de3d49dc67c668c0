#include "cornstarch/dataio/run_data.h"

#include <filesystem>
#include <memory>

#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/catalog/whole_model.h"
#include "json_text.h"

namespace cornstarch::dataio {

namespace fs = std::filesystem;

namespace {

/// A file that names no class is of the family's, as for transformers' AutoImageProcessor.
std::string with_class(std::string text, const std::string& of_family) {
  const char* key = "image_processor_type";
  const auto own = parse_json(of_family);
  auto json = parse_json(text);
  const bool silent = json && json->is_object() && !json->contains(key) &&
                      !json->contains("feature_extractor_type") && own && own->contains(key);
  if (!silent) return text;
  (*json)[key] = (*own)[key];
  return json->dump();
}

}  // namespace

Result<MediaSource> media_source(const catalog::Modality& encoder) {
  MediaSource source;
  source.placeholder = encoder.placeholder;
  source.kind = catalog::media_of(encoder.spec.kind);
  source.features = [of = std::make_shared<const catalog::Modality>(encoder)](const catalog::Extents& item) {
    return catalog::features_of(*of, item);
  };
  source.extents = catalog::fixed_extents(encoder.spec);
  source.item_shape = encoder.spec.item_shape;
  source.patch_block = encoder.spec.patch_block;
  source.preprocessor_json = encoder.spec.preprocessor;
  if (!encoder.pretrained) return source;
  auto text = catalog::read_preprocessor(*encoder.pretrained);
  if (!text) return tl::unexpected(text.error());
  if (*text) source.preprocessor_json = with_class(std::move(**text), encoder.spec.preprocessor);
  return source;
}

TokenTexts token_texts(const config::Data& data) {
  const auto text = [](std::optional<std::string> token) {
    if (token == "absent") token->clear();
    return token;
  };
  return {text(data.bos_token), text(data.eos_token), text(data.pad_token)};
}

Result<ConversationOptions> conversation_options(const config::RunConfig& config,
                                                 const catalog::Modalities& modalities,
                                                 const std::vector<config::Dataset>& files) {
  ConversationOptions options;
  for (const config::Dataset& file : files) {
    ConversationFile& wanted = options.files.emplace_back();
    wanted.path = file.path;
    wanted.media_root = file.media_root.value_or("");
    wanted.weight = file.weight;
    wanted.max_samples = file.max_samples;
  }
  options.tokenizer = config.data.tokenizer;
  options.special_tokens = token_texts(config.data);
  options.chat_template = config::name_of(config.data.chat_template);
  options.train_on = config.data.train_on;
  options.sequence_length = config.batch.sequence_length;
  options.cut_long = config.data.on_long_sample == config::OnLongSample::cut;
  if (config.data.on_bad_sample == config::OnBadSample::skip)
    options.max_bad_fraction = config.data.max_bad_fraction;
  for (const catalog::Modality& modality : modalities) {
    if (catalog::is_llm(modality)) continue;
    auto source = media_source(modality);
    if (!source) return tl::unexpected(source.error());
    options.media.push_back(std::move(*source));
  }
  return options;
}

Result<ConversationOptions> training_data(const config::RunConfig& config,
                                          const catalog::Modalities& modalities) {
  auto options = conversation_options(config, modalities, config.data.train);
  if (!options || config.eval.hold_out == 0) return options;
  options->hold_out = config.eval.hold_out;
  for (ConversationFile& file : options->files) file.portion = Portion::kept;
  return options;
}

Result<ConversationOptions> held_out_data(const config::RunConfig& config,
                                          const catalog::Modalities& modalities) {
  auto options = conversation_options(config, modalities, config.data.eval);
  auto training = training_data(config, modalities);
  if (!options || !training || training->hold_out == 0) return options;
  options->hold_out = training->hold_out;
  for (ConversationFile& file : training->files) {
    file.portion = Portion::held_out;
    file.weight = 1;
    file.max_samples.reset();
    options->files.push_back(std::move(file));
  }
  return options;
}

}  // namespace cornstarch::dataio
