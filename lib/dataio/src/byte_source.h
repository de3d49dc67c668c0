#pragma once

#include <cstdint>
#include <filesystem>
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

  std::int64_t size() const { return size_; }
  /// `n` bytes from `at`, fewer where the file ends. Good until the next call.
  std::string_view read(std::int64_t at, std::size_t n);
  /// The byte at `at`, or -1 behind the end.
  int byte(std::int64_t at);

 private:
  ByteSource() = default;
  Descriptor file_{-1};
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
