#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch {

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { close(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  bool close();

 private:
  int fd_;
};

/// Whatever reads a file opens it so: a folder, FIFO, socket or device is refused by its name, and nobody is
/// waited for. Errors: missing_input if it is not there, io otherwise.
Result<Descriptor> open_file(const std::filesystem::path& path);

/// The whole file. Errors: those of open_file, bad_data if it is larger than max_bytes.
Result<std::string> read_file(const std::filesystem::path& path,
                              std::size_t max_bytes = std::size_t{1} << 30);
/// Likewise a pipe, which is not waited for when nobody writes to it.
Result<std::string> read_file_or_pipe(const std::filesystem::path& path, std::size_t max_bytes);

/// Writes beside `path`, syncs, then renames over it: a reader sees the old content or the new, never a part.
Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view content);
/// Likewise what lies in several places, one behind the other.
Result<void> write_file_atomically(const std::filesystem::path& path,
                                   const std::vector<std::string_view>& parts);

/// Makes renames in a folder last; false, with errno, where the file system says that it cannot.
bool sync_folder(const std::filesystem::path& folder);

/// The folder and those above it, as far as they are missing. A crash of the host does not undo it.
Result<void> make_folders(const std::filesystem::path& folder);

/// `relative` inside `root`. Refused (bad_data): absolute paths, '..', and links that lead out of `root`.
Result<std::filesystem::path> resolve_inside(const std::filesystem::path& root, const std::string& relative);

}  // namespace cornstarch
