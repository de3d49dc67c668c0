#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "cornstarch/base/files.h"

namespace cornstarch {

/// A file on its way to its name: it lies beside it until finish(), and is gone with this object otherwise.
class NewFile {
 public:
  static Result<NewFile> begin(std::filesystem::path path);
  NewFile(NewFile&&) noexcept = default;
  ~NewFile();

  /// Several threads may write, each its own place.
  Result<void> write(std::uint64_t at, std::string_view content);
  /// Syncs it and renames it: a reader sees what bore the name before, or all of it.
  Result<void> finish();

 private:
  NewFile(std::filesystem::path path, std::filesystem::path temporary, Descriptor file)
      : path_(std::move(path)), temporary_(std::move(temporary)), file_(std::move(file)) {}
  std::filesystem::path path_, temporary_;
  Descriptor file_;
};

}  // namespace cornstarch
