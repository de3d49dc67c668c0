#pragma once

#include <filesystem>
#include <set>

namespace cornstarch::train {

/// The tokens that end what a model says, as a Hugging Face folder has them: `eos_token_id` of
/// generation_config.json and config.json, one or several.
std::set<std::int64_t> end_tokens(const std::filesystem::path& folder);

}  // namespace cornstarch::train
