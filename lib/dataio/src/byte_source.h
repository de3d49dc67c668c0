#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cornstarch/base/files.h"

namespace cornstarch::dataio {

/// A file's bytes by their places: from memory, or from disk as far as they are asked for.
class ByteSource {
 public:
  explicit ByteSource(std::string_view bytes)
      : window_(bytes), size_(static_cast<std::int64_t>(bytes.size())) {}
  static Result<ByteSource> open(const std::filesystem::path& path);
  static ByteSource holding(std::string bytes);
  /// `size` bytes from `begin` of a file that stays open; `fd` is not closed.
  static ByteSource part_of(int fd, std::int64_t begin, std::int64_t size);

  std::int64_t size() const { return size_; }
  /// `n` bytes from `at`, fewer where the file ends. Good until the next call.
  std::string_view read(std::int64_t at, std::size_t n);
  /// The byte at `at`, or -1 behind the end.
  int byte(std::int64_t at);
  /// What the system had to say, where bytes are missing for that.
  std::optional<Error> trouble() const;

 private:
  ByteSource() = default;
  /// buffer_ with as many bytes from `at` as it is long, or as there are.
  void fill(std::int64_t at);

  Descriptor file_{-1};
  int fd_ = -1;              ///< that of file_, or another's
  std::int64_t offset_ = 0;  ///< of the first byte in the file
  int errno_ = 0;
  std::shared_ptr<const std::string> held_;
  std::string buffer_;
  std::string_view window_;  ///< bytes from begin_ on: of memory all of them, of a file those in buffer_
  std::int64_t begin_ = 0;
  std::int64_t size_ = 0;
};

/// Whether `text` stands at `at`.
bool stands_at(std::string_view bytes, std::size_t at, std::string_view text);

/// Whole numbers of 1 to 4 bytes; behind the end of `bytes` there are zeros.
std::uint32_t little_endian(std::string_view bytes, std::size_t at, std::size_t n);
std::uint32_t big_endian(std::string_view bytes, std::size_t at, std::size_t n);

}  // namespace cornstarch::dataio
