#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "byte_source.h"
#include "conversation.h"
#include "data_file.h"
#include "media_folder.h"
#include "problems.h"
#include "sample_index.h"

namespace cornstarch::dataio {

/// One file of conversations with its index. The data set sees it as `weighted` samples, sample i being
/// sample i mod size.
class SampleFile {
 public:
  static Result<SampleFile> open(const ConversationFile& source, const ConversationOptions& options);

  std::int64_t size() const { return index_.size(); }
  /// "train.jsonl:12", "train-000.tar:seven.*"
  std::string place(std::int64_t sample) const;
  /// How many items encoder `encoder` takes of it; none of a sample that read() refuses.
  int items(std::int64_t sample, std::size_t encoder) const;
  /// The sample, if its placeholders agree with its media and these fit the sequence length.
  Result<Conversation> read(std::int64_t sample) const;
  /// The bytes of a media item that the sample names.
  Result<ByteSource> media(const Conversation& sample, const std::string& name) const;

  std::int64_t begin = 0;  ///< in the data set
  std::int64_t weighted = 0;

 private:
  friend class Review;
  SampleFile(const ConversationFile& source, DataFile data, SampleIndex index,
             const ConversationOptions& options);
  Result<Conversation> parse(std::int64_t sample) const;
  /// Whether read() will take it, from the index alone.
  bool sound(std::int64_t sample) const;
  /// How many items encoder `encoder` takes of it as the index has it.
  std::int64_t counted(std::int64_t sample, std::size_t encoder) const;

  const ConversationOptions* options_;
  DataFile data_;
  SampleIndex index_;
  MediaFolder media_;
  std::vector<std::size_t> columns_;            ///< per encoder: its placeholder's among the index's
  std::array<std::size_t, kMediaKinds> parts_;  ///< by MediaKind: the columns of the marks of parts
  std::array<std::optional<std::size_t>, kMediaKinds> takers_;  ///< by MediaKind: who takes parts
  std::vector<std::int64_t> least_features_;                    ///< per encoder: of an item
};

/// What a look through samples has found.
struct Findings {
  std::int64_t samples = 0, bad = 0, unanswered = 0;
  std::int64_t looked_at = 0, lacking = 0;  ///< samples whose media were looked for, and those that lack some
  Problems problems;                        ///< of the samples that are bad or lack media
  std::vector<std::string> warnings;
};

/// Looks through a file's samples: through all by the index, through 1,000 spread over it for their media.
void review(const SampleFile& file, Findings& findings);

}  // namespace cornstarch::dataio
