#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "byte_source.h"
#include "cornstarch/base/files.h"

namespace cornstarch::dataio {

/// A file that is read piece by piece and must stay as it is: nothing is mapped, since a file that is cut
/// short under a map ends the program without a word.
class DataFile {
 public:
  static Result<DataFile> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::int64_t size() const { return size_; }
  std::int64_t modified() const { return modified_; }  ///< nanoseconds since 1970

  /// Up to `length` bytes into `to`; how many there were.
  Result<std::size_t> read(std::int64_t offset, char* to, std::size_t length) const;
  /// Exactly those bytes. Throws Failure where the file is no longer what was opened: nothing that is known
  /// of it holds any more. (A file that another was renamed over is read on as it was.)
  std::string text(std::int64_t offset, std::size_t length) const;
  /// What is read only as far as somebody asks for it, while this object lives.
  ByteSource part(std::int64_t offset, std::int64_t length) const {
    return ByteSource::part_of(fd_.get(), offset, length);
  }

  /// Waits until no other process holds it, and holds it until the object is gone; without effect on file
  /// systems that have no locks.
  class Lock {
   public:
    explicit Lock(const DataFile& file);
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock();

   private:
    int fd_;
  };

 private:
  DataFile(std::filesystem::path path, Descriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  std::filesystem::path path_;
  Descriptor fd_;
  std::int64_t size_ = 0, modified_ = 0;
};

/// A file mapped into memory, for what we write ourselves and never write over.
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

}  // namespace cornstarch::dataio
