#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/dataio/conversations.h"
#include "data_file.h"

namespace cornstarch::dataio {

/// A sample may be so long; what is longer is no sample but a broken file.
inline constexpr std::size_t kMaxSampleBytes = std::size_t{64} << 20;

/// What the samples of a file are, found in one pass over it: where each stands, which media it lists and how
/// often each placeholder stands in its text. It holds facts of the file only, so that one index, kept beside
/// the file, serves every run; 32 + 2 x placeholders bytes a sample, mapped into memory and shared by a
/// host's processes.
class SampleIndex {
 public:
  struct Entry {
    std::uint64_t offset;  ///< of its JSON; in a shard, of its first member's headers; in a table, its group
    std::uint64_t identity;  ///< identity_of() it; 0 of one that is malformed
    std::uint32_t length;    ///< of its JSON; in a shard, nothing; in a table, its row in the group
    std::uint32_t line;      ///< in a shard or table, its number, from 1
    std::array<std::uint16_t, kMediaKinds> files;  ///< by MediaKind
    std::uint8_t malformed;                        ///< read_conversation() refuses it
    std::uint8_t has_answer;
  };
  /// A key that nothing reads, but that names media.
  struct Unread {
    std::string key;
    std::int64_t samples = 0, first_line = 0;
  };

  /// The index of `file`: as it is kept (beside the file, or in the user's cache folder), or else made and
  /// kept there. Several processes that ask at once wait for the one that makes it. `placeholders` are those
  /// that must be counted; others that are common are, too.
  static Result<SampleIndex> open(const DataFile& file, const std::vector<std::string>& placeholders);
  /// The index in `bytes`, which must stay. It may come with the data from anybody: one that is not of this
  /// file, or leads out of it, is refused. What it says of a sample is compared when that is read.
  static Result<SampleIndex> parse(std::string_view bytes, const DataFile& file);

  std::int64_t size() const { return size_; }
  const Entry& operator[](std::int64_t sample) const;
  /// The sample on a line, or the next one; of a shard, that of this number.
  std::int64_t on_line(std::int64_t line) const;
  /// How often each of placeholders() stands in the sample's text.
  std::span<const std::uint16_t> counts(std::int64_t sample) const;
  const std::vector<std::string>& placeholders() const { return placeholders_; }
  const std::vector<Unread>& unread() const { return unread_; }
  bool is_shard() const { return shard_; }           ///< the file is a tar archive
  bool is_parquet() const { return parquet_; }       ///< or a table
  std::int64_t unkeyed() const { return unkeyed_; }  ///< a shard's members that belong to no sample

 private:
  static std::optional<SampleIndex> load(const std::filesystem::path& path, const DataFile& file,
                                         const std::vector<std::string>& placeholders);
  static std::optional<SampleIndex> find(const DataFile& file, const std::vector<std::string>& placeholders);
  const char* record(std::int64_t sample) const;

  std::unique_ptr<MappedFile> mapped_;
  std::unique_ptr<std::string> made_;  ///< where it could not be kept
  const char* records_ = nullptr;
  std::int64_t size_ = 0;
  std::size_t stride_ = 0;
  std::vector<std::string> placeholders_;
  std::vector<Unread> unread_;
  bool shard_ = false, parquet_ = false;
  std::int64_t unkeyed_ = 0;
};

/// One pass over a file: what parse() takes.
Result<std::string> make_index(const DataFile& file, const std::vector<std::string>& placeholders);

}  // namespace cornstarch::dataio
