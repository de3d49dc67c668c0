#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cornstarch/catalog/whole_model.h"

namespace cornstarch::app {

/// A chat template, why it, and why not the one in the folder ("": it is that).
struct ChosenTemplate {
  config::ChatTemplate chat = config::ChatTemplate::plain;
  std::string why, why_not_own;
};

/// What a run.yaml is written from, for somebody to read and change.
struct RunDraft {
  std::string heading;  ///< comment lines
  config::Model model;
  std::vector<std::vector<std::string>> modules;  ///< of each modality, the language model's last
  bool fresh_projectors = false;  ///< drawn at random, so that they learn faster than the rest
  std::optional<int> gpus = {};   ///< nothing: nobody said, and it begins on the CPU
  std::string tokenizer;
  ChosenTemplate chat;
  std::string precision;
  std::string data, media_root = {};  ///< "": beside the data
  std::string run_dir;
  std::int64_t sequence_length = 0;
};

/// Fills in the modules of each modality, and the longest row that is of use.
Result<void> read_modules(RunDraft& draft);
/// The folder's own chat template, else the first that its language model's family has learnt and whose
/// tokens the tokenizer has.
ChosenTemplate choose_template(const std::string& family, const std::filesystem::path& folder);
/// A run computes in bf16 what is stored in sixteen bits.
std::string precision_of(const std::filesystem::path& folder);

/// The config, with what one may want to change told beside it.
std::string run_yaml(const RunDraft& draft);

/// Whether it holds together with what is in the models' folders: every weight is there, in its shape, and no
/// other. Says on stderr what does not. Data that were not given may come later.
bool holds(const RunDraft& draft, const std::string& text, const std::filesystem::path& file, bool has_data);

}  // namespace cornstarch::app
