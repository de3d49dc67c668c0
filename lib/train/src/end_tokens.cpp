#include "end_tokens.h"

#include <nlohmann/json.hpp>

#include "cornstarch/base/files.h"
#include "cornstarch/base/untrusted.h"
#include "cornstarch/catalog/whole_model.h"

namespace cornstarch::train {

std::set<std::int64_t> end_tokens(const std::filesystem::path& folder) {
  std::set<std::int64_t> out;
  for (const char* name : {"generation_config.json", "config.json"}) {
    const auto text = read_file(folder / name, std::size_t{1} << 20);
    if (!text || nests_deeper(*text, 64)) continue;
    const auto json = nlohmann::json::parse(*text, nullptr, false);
    if (!json.is_object() || !json.contains("eos_token_id")) continue;
    const auto& ids = json["eos_token_id"];
    for (const auto& id : ids.is_array() ? ids : nlohmann::json::array({ids}))
      if (id.is_number_integer()) out.insert(id.get<std::int64_t>());
  }
  return out;
}

std::set<std::int64_t> answer_ends(const catalog::Modality& llm, const dataio::Tokenizer& tokenizer,
                                   std::optional<std::int64_t> of_template) {
  std::set<std::int64_t> out;
  if (llm.pretrained) out = end_tokens(catalog::place_of(*llm.pretrained).folder);
  for (const auto& end : {tokenizer.end_id(), of_template})
    if (end) out.insert(*end);
  return out;
}

}  // namespace cornstarch::train
