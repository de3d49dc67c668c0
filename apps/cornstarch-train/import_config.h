#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/catalog/whole_model.h"

namespace cornstarch::app {

/// A chat template, why it, and why not the one in the folder ("": it is that).
struct ChosenTemplate {
  config::ChatTemplate chat = config::ChatTemplate::plain;
  std::string why, why_not_own;
};

/// What `import` knows of a whole checkpoint and of what is to be done with it.
struct Imported {
  std::filesystem::path folder;
  catalog::WholeModel whole;
  std::vector<std::vector<std::string>> modules;  ///< of each modality, the language model's last
  ChosenTemplate chat;
  std::string precision;
  std::string data, media_root;  ///< "": beside the data
  std::string run_dir;
  std::int64_t sequence_length = 0;
};

/// What a folder says of itself; `data` and `media_root` are not its.
Result<Imported> read_imported(const std::filesystem::path& folder);

/// The config that trains it as it stands, with what one may want to change told beside it.
std::string import_config(const Imported& imported);

}  // namespace cornstarch::app
