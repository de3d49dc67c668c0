#include "model_folder.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cornstarch/base/files.h"
#include "cornstarch/base/untrusted.h"
#include "cornstarch/catalog/whole_model.h"
#include "cornstarch/dataio/run_data.h"
#include "cornstarch/models/weights.h"

namespace cornstarch::train {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using dataio::Tokenizer;

void take(const fs::path& file, const std::string& name, Companions& files) {
  files[name] = value_or_throw(read_file(file));
}

Json parsed(const std::string& text) {
  Json json = nests_deeper(text, 64) ? Json() : Json::parse(text, nullptr, false);
  return json.is_object() ? json : Json::object();
}

/// What the config says of special tokens, for the files beside the tokenizer.
void say_tokens(const config::Data& data, Json& json) {
  const auto say = [&](const char* key, const std::optional<std::string>& text) {
    if (text) json[key] = text->empty() ? Json() : Json(*text);
  };
  const dataio::TokenTexts texts = dataio::token_texts(data);
  say("bos_token", texts.begin);
  say("eos_token", texts.end);
  say("pad_token", texts.pad);
}

/// Loads as a tokenizer of transformers' own class, with the special tokens that samples are made with.
Json new_tokenizer_config(const Tokenizer& tokenizer, std::int64_t max_length) {
  const auto token = [&](std::int64_t id) { return tokenizer.decode({id}); };
  Json json;
  json["tokenizer_class"] = "PreTrainedTokenizerFast";
  if (const auto begin = tokenizer.begin_id()) json["bos_token"] = token(*begin);
  if (const auto end = tokenizer.end_id()) json["eos_token"] = token(*end);
  // Without any special token padding is 0, some word's id, and that word is no special token.
  if (tokenizer.end_id() || tokenizer.pad_id() != 0) json["pad_token"] = token(tokenizer.pad_id());
  json["add_bos_token"] = tokenizer.adds_begin();
  json["clean_up_tokenization_spaces"] = false;
  json["model_max_length"] = max_length;
  return json;
}

/// Makes generation end where answers ended in training, too.
void add_end(std::int64_t id, Json& json) {
  Json& ends = json["eos_token_id"];
  if (ends.is_null()) ends = id;
  if (ends.is_number() && ends != id) ends = Json::array({ends, id});
  if (ends.is_array() && std::find(ends.begin(), ends.end(), Json(id)) == ends.end()) ends.push_back(id);
}

Json new_generation_config(const Tokenizer& tokenizer) {
  Json json;
  if (const auto begin = tokenizer.begin_id()) json["bos_token_id"] = *begin;
  if (const auto end = tokenizer.end_id()) json["eos_token_id"] = *end;
  json["pad_token_id"] = tokenizer.pad_id();
  return json;
}

/// The file as `change` makes it; byte for byte what it was where that changes nothing.
template <typename Change>
void edit(Companions& files, const std::string& name, Json fresh, Change&& change) {
  const auto given = files.find(name);
  const Json before = given == files.end() ? Json() : parsed(given->second);
  Json after = given == files.end() ? std::move(fresh) : before;
  change(after);
  if (after != before) files[name] = after.dump(2) + "\n";
}

Companions beside_llm(const config::RunConfig& config, const catalog::Modality& llm,
                      const dataio::ConversationDataset& data) {
  Companions files;
  const Tokenizer& tokenizer = data.tokenizer();
  const fs::path source = value_or_throw(dataio::tokenizer_json_path(config.data.tokenizer));
  for (const fs::path& file : dataio::tokenizer_files(source))
    take(file, file == source ? "tokenizer.json" : file.filename().string(), files);
  if (llm.pretrained) {
    files.erase("generation_config.json");
    const fs::path own = catalog::place_of(*llm.pretrained).folder / "generation_config.json";
    if (fs::exists(own)) take(own, "generation_config.json", files);
  }
  edit(files, "tokenizer_config.json", new_tokenizer_config(tokenizer, llm.spec.max_positions),
       [&](Json& json) {
         say_tokens(config.data, json);
         if (config.data.bos_token) json["add_bos_token"] = tokenizer.adds_begin();
       });
  if (files.count("special_tokens_map.json") > 0)
    edit(files, "special_tokens_map.json", {}, [&](Json& json) { say_tokens(config.data, json); });
  edit(files, "generation_config.json", new_generation_config(tokenizer), [&](Json& json) {
    if (dataio::token_texts(config.data).end == "") json.erase("eos_token_id");
    if (const auto end = data.answer_end_id()) add_end(*end, json);
  });
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
                      ? beside_llm(config, modality, data)
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
