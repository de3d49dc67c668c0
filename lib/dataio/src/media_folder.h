#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "cornstarch/base/result.h"

namespace cornstarch::dataio {

/// The folder that a data set's media lie in. What a sample names is confined to it; the folders inside are
/// resolved once each, so that a file costs one look. For several threads at once.
class MediaFolder {
 public:
  explicit MediaFolder(std::filesystem::path root)
      : root_(std::move(root)), state_(std::make_unique<State>()) {}

  /// The ordinary file of that name.
  Result<std::filesystem::path> find(const std::string& name) const;

 private:
  std::optional<std::filesystem::path> folder(const std::string& name) const;

  std::filesystem::path root_;
  struct State {
    std::mutex mutex;
    std::map<std::string, std::filesystem::path> folders;
  };
  std::unique_ptr<State> state_;
};

}  // namespace cornstarch::dataio
