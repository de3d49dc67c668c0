#pragma once

#include <filesystem>
#include <utility>

#include "cornstarch/base/result.h"

namespace cornstarch {

/// That a folder is one process's own, on whatever host it runs: a lock on the folder's file `.owner`, which
/// says whose it is. The kernel takes it back when the process ends, however it ends; the file stays. On a
/// file system without locks it keeps nobody out, and a warning says so.
class FolderClaim {
 public:
  /// Of a folder that is there. One that another process has claimed is refused (usage): "'runs/a' is in use
  /// by process 12 on node1, since 2026-11-27 14:50:52 UTC".
  static Result<FolderClaim> take(const std::filesystem::path& folder);
  /// The error of take() where another process has claimed the folder; claims nothing.
  static Result<void> check_free(const std::filesystem::path& folder);

  FolderClaim(FolderClaim&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FolderClaim& operator=(FolderClaim&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~FolderClaim();

 private:
  explicit FolderClaim(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace cornstarch
