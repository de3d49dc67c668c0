#include "model_folder.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cornstarch/base/files.h"
#include "cornstarch/models/weights.h"

namespace cornstarch::train {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using dataio::Tokenizer;

void take(const fs::path& folder, const std::string& name, Companions& files) {
  if (fs::exists(folder / name)) files[name] = value_or_throw(read_file(folder / name));
}

/// Loads as a tokenizer of transformers' own class, with the special tokens that samples are made with.
std::string tokenizer_config(const Tokenizer& tokenizer, std::int64_t max_length) {
  const auto token = [&](std::int64_t id) { return tokenizer.decode({id}); };
  Json json;
  json["tokenizer_class"] = "PreTrainedTokenizerFast";
  if (const auto begin = tokenizer.begin_id()) json["bos_token"] = token(*begin);
  if (const auto end = tokenizer.end_id()) json["eos_token"] = token(*end);
  // Without any special token padding is 0, some word's id, and that word is no special token.
  if (tokenizer.end_id() || tokenizer.pad_id() != 0) json["pad_token"] = token(tokenizer.pad_id());
  json["clean_up_tokenization_spaces"] = false;
  json["model_max_length"] = max_length;
  return json.dump(2) + "\n";
}

/// Generation ends where answers ended in training.
std::string generation_config(const Tokenizer& tokenizer) {
  Json json;
  if (const auto begin = tokenizer.begin_id()) json["bos_token_id"] = *begin;
  if (const auto end = tokenizer.end_id()) json["eos_token_id"] = *end;
  json["pad_token_id"] = tokenizer.pad_id();
  return json.dump(2) + "\n";
}

Companions beside_llm(const config::RunConfig& config, const catalog::Modality& llm,
                      const Tokenizer& tokenizer) {
  Companions files;
  const fs::path source = config.data.tokenizer;
  files["tokenizer.json"] = value_or_throw(read_file(source));
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                           "tokenizer.model", "chat_template.jinja", "chat_template.json"})
    take(source.parent_path(), name, files);
  files.try_emplace("tokenizer_config.json", tokenizer_config(tokenizer, llm.spec.max_positions));
  if (llm.pretrained) take(*llm.pretrained, "generation_config.json", files);
  files.try_emplace("generation_config.json", generation_config(tokenizer));
  return files;
}

at::ScalarType type_of(config::ExportDtype chosen, at::ScalarType computed) {
  switch (chosen) {
    case config::ExportDtype::same:
      return computed;
    case config::ExportDtype::fp32:
      return at::kFloat;
    case config::ExportDtype::bf16:
      return at::kBFloat16;
    case config::ExportDtype::fp16:
      return at::kHalf;
  }
  return computed;
}

}  // namespace

std::vector<Companions> companions_of(const config::RunConfig& config, const catalog::Modalities& modalities,
                                      const dataio::ConversationDataset& data) {
  std::vector<Companions> out;
  for (const catalog::Modality& modality : modalities) {
    const int index = static_cast<int>(out.size());
    out.push_back(catalog::is_llm(modality)
                      ? beside_llm(config, modality, data.tokenizer())
                      : Companions{{"preprocessor_config.json", data.preprocessor_json(index)}});
  }
  return out;
}

std::optional<std::vector<models::NamedTensor>> gather_weights(const config::RunConfig& config,
                                                               Trainer& trainer, int modality) {
  const at::ScalarType dtype = type_of(config.export_dtype, trainer.dtype());
  return trainer.gather(modality, dtype == trainer.dtype() ? dtype : at::kFloat);
}

void write_weights(const fs::path& folder, const config::RunConfig& config, const catalog::Modality& modality,
                   const Companions& companions, std::vector<models::NamedTensor> tensors,
                   const Trainer& trainer) {
  models::save_pretrained(folder, modality, std::move(tensors),
                          type_of(config.export_dtype, trainer.dtype()));
  for (const auto& [name, content] : companions)
    value_or_throw(write_file_atomically(folder / name, content));
}

}  // namespace cornstarch::train
