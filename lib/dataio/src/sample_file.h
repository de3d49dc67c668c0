#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "byte_source.h"
#include "conversation.h"
#include "data_file.h"
#include "media_folder.h"
#include "parquet.h"
#include "sample_index.h"

namespace cornstarch::dataio {

/// One file of conversations with its index.
class SampleFile {
 public:
  static Result<SampleFile> open(const std::filesystem::path& path, const std::filesystem::path& media_root,
                                 const ConversationOptions& options);

  const SampleIndex& index() const { return index_; }
  /// "train.jsonl:12", "train-000.tar:seven.*"
  std::string place(std::int64_t sample) const;
  /// Whether read() will take it, from the index alone.
  bool sound(std::int64_t sample) const;
  /// How many items encoder `encoder` takes of it; none of a sample that read() refuses.
  int items(std::int64_t sample, std::size_t encoder) const;
  /// The sample, if its placeholders agree with its media and these fit the sequence length.
  Result<Conversation> read(std::int64_t sample) const;
  /// The bytes of a media item that the sample names.
  Result<ByteSource> media(const Conversation& sample, const std::string& name) const;

 private:
  friend class Review;
  SampleFile(DataFile data, SampleIndex index, std::optional<ParquetFile> parquet,
             const std::filesystem::path& media_root, const ConversationOptions& options);
  Result<Conversation> parse(std::int64_t sample) const;
  /// How many items encoder `encoder` takes of it as the index has it.
  std::int64_t counted(std::int64_t sample, std::size_t encoder) const;

  const ConversationOptions* options_;
  DataFile data_;
  SampleIndex index_;
  std::optional<ParquetFile> parquet_;  ///< the file as a table, if it is one
  MediaFolder media_;
  std::vector<std::size_t> columns_;            ///< per encoder: its placeholder's among the index's
  std::array<std::size_t, kMediaKinds> parts_;  ///< by MediaKind: the columns of the marks of parts
  std::array<std::optional<std::size_t>, kMediaKinds> takers_;  ///< by MediaKind: who takes parts
  std::vector<std::int64_t> least_features_;                    ///< per encoder: of an item
};

}  // namespace cornstarch::dataio
