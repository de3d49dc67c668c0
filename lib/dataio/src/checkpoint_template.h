#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/templates/value.h"

namespace cornstarch::dataio {

struct CheckpointTemplate {
  std::string source;
  std::string place;  ///< what messages call it
  /// The special tokens that tokenizer_config.json names, as transformers hands them to templates.
  std::vector<templates::Named> tokens = {};
};

/// The chat template beside a tokenizer: chat_template.jinja, else chat_template.json, else
/// tokenizer_config.json.
Result<CheckpointTemplate> read_checkpoint_template(const std::filesystem::path& tokenizer);

}  // namespace cornstarch::dataio
