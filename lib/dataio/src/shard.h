#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conversation.h"
#include "data_file.h"
#include "tar.h"

namespace cornstarch::dataio {

/// One sample of a shard as WebDataset packs them: the members that follow one another and whose names are
/// the same up to the first dot behind the last slash.
struct ShardSample {
  std::string key;
  std::vector<TarMember> members;

  std::int64_t begin() const { return members.front().headers; }
  const TarMember* with_extension(std::string_view extension) const;
  const TarMember* named(std::string_view name) const;
};

/// Of a member's name: the key, and what follows the dot. Nothing where there is neither.
struct ShardName {
  std::string_view key, extension;
};
std::optional<ShardName> shard_name(std::string_view name);

class ShardReader {
 public:
  /// `at`: where a sample begins.
  explicit ShardReader(ByteSource bytes, std::int64_t at = 0) : tar_(std::move(bytes), at) {}

  /// Nothing at the end.
  Result<std::optional<ShardSample>> next();
  std::int64_t unkeyed() const { return unkeyed_; }  ///< members so far that belong to no sample
  std::int64_t position() const { return tar_.position(); }

 private:
  TarReader tar_;
  std::optional<TarMember> held_;  ///< the next sample's first
  std::int64_t unkeyed_ = 0;
};

/// What a sample's members say together: the conversation of its `.json`, whose media are members; or a
/// user's turn of all its media, which its `.txt` answers. Media are named by their members' whole names.
Result<Conversation> read_shard_sample(const ShardSample& sample, const DataFile& file);

}  // namespace cornstarch::dataio
