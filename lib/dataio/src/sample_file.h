#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch::dataio {

/// A file mapped into memory: the ranks of a node share its pages.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();
  std::string_view text() const { return {data_, size_}; }

 private:
  MappedFile(const char* data, std::size_t size) : data_(data), size_(size) {}
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Where the JSON of one sample stands in a file.
struct SamplePlace {
  std::size_t offset = 0;
  std::size_t length = 0;
  std::int64_t line = 0;  ///< from 1
};

/// The samples of a file: the elements of an array if it begins with '[', its lines that are not blank
/// otherwise. What is inside a sample is not looked at. The error's message begins with the line: "12: ...".
Result<std::vector<SamplePlace>> find_samples(std::string_view text);

}  // namespace cornstarch::dataio
