#pragma once

#include <optional>
#include <string>
#include <variant>

#include "byte_source.h"
#include "cornstarch/dataio/conversations.h"
#include "cornstarch/dataio/preprocess.h"

namespace cornstarch::dataio {

/// Makes an encoder's items of media files' bytes.
class Preparer {
 public:
  static Result<Preparer> make(const MediaSource& source);

  /// Of the item that a file becomes; where items have sizes of their own, its header is read.
  Result<catalog::Extents> extents(ByteSource bytes) const;
  Result<MediaItem> operator()(ByteSource bytes) const;
  /// All but the name.
  Result<MediaFile> look(ByteSource bytes) const;
  /// See ConversationDataset::picture_of.
  Image picture_of(const MediaItem& item, const catalog::Extents& extents) const;
  /// The text of a preprocessor_config.json that says the same.
  std::string to_json() const;

 private:
  using Processor = std::variant<ImagePreprocessor, PatchPreprocessor, LogMel>;
  Preparer(Processor processor, std::optional<catalog::Extents> extents)
      : processor_(std::move(processor)), extents_(extents) {}

  Processor processor_;
  std::optional<catalog::Extents> extents_;  ///< MediaSource's
};

}  // namespace cornstarch::dataio
