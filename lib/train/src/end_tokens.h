#pragma once

#include <filesystem>
#include <optional>
#include <set>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/dataio/tokenizer.h"

namespace cornstarch::train {

/// The tokens that end what a model says, as a Hugging Face folder has them: `eos_token_id` of
/// generation_config.json and config.json, one or several.
std::set<std::int64_t> end_tokens(const std::filesystem::path& folder);

/// The same of a model that answers: those of its folder, the tokenizer's, and the one that the chat template
/// ends answers with, where it does.
std::set<std::int64_t> answer_ends(const catalog::Modality& llm, const dataio::Tokenizer& tokenizer,
                                   std::optional<std::int64_t> of_template);

}  // namespace cornstarch::train
