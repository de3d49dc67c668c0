#pragma once

#include <filesystem>
#include <string>

#include "cornstarch/base/result.h"
#include "run_draft.h"

namespace cornstarch::app {

/// A whole checkpoint, and the run that trains it.
struct Imported {
  std::filesystem::path folder;
  std::string model_type;
  RunDraft draft;  ///< its data are the caller's to say
};

/// Errors as catalog::read_whole().
Result<Imported> read_imported(const std::filesystem::path& folder);

}  // namespace cornstarch::app
