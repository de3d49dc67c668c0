#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/catalog/extents.h"
#include "cornstarch/catalog/token_ids.h"

/// Samples without tensors.
namespace cornstarch::dataio {

/// What an encoder's ranks and the LLM's ranks must agree on about one sample without decoding it.
struct SampleInfo {
  std::vector<int> items;  ///< per encoder, in order of declaration: media items in the sample
};

/// Per encoder, the extents of a sample's media items in the order of their placeholders.
using SampleExtents = std::vector<std::vector<catalog::Extents>>;

using catalog::kIgnoreLabel;
using catalog::placeholder_id;

/// One row of text: `sequence_length` ids and labels, padded on the right. A placeholder is expanded to one
/// placeholder_id() per feature row. Labels are NOT shifted; kIgnoreLabel where nothing is to be learnt
/// (prompt, placeholders, padding).
struct TextRow {
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> labels;
  std::int64_t length = 0;  ///< tokens before padding
  bool cut = false;         ///< there were more
};

/// A sample without its (last) answer, and what the answer is.
struct Question {
  TextRow prompt;      ///< ids only up to where the answer begins, not padded; labels all -100
  std::string answer;  ///< as the file has it
  std::string text;    ///< the turn that is answered; empty where there is none
};

/// One media item as its encoder takes it, row-major: pixels [3, H, W], log-mel [mels, frames] or, where each
/// item has extents of its own, [places, width].
struct MediaItem {
  std::vector<float> values;
  std::vector<std::int64_t> shape;
  bool cut = false;  ///< the recording was longer than its encoder takes
};

/// A data set that can be read from several threads at once. Everything is a function of the sample number
/// alone.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual std::int64_t size() const = 0;
  virtual SampleInfo info(std::int64_t sample) const = 0;
  /// What a rank must know of its replica's samples without decoding them: as many items as info() says.
  /// Errors, here and below, name the file and line of the sample.
  virtual Result<SampleExtents> extents(std::int64_t sample) const = 0;
  virtual Result<TextRow> text(std::int64_t sample) const = 0;
  /// A sample of several answers asks for the last one. An error where it asks nothing.
  virtual Result<Question> question(std::int64_t sample) const {
    return fail(ExitCode::bad_data, place(sample) + " asks nothing");
  }
  /// The items of encoder `encoder` in the order of their placeholders.
  virtual Result<std::vector<MediaItem>> media(std::int64_t sample, int encoder) const = 0;
  /// The id of padding, for rows that are all padding.
  virtual std::int64_t pad_id() const = 0;
  /// What messages call a sample: "train.jsonl:12".
  virtual std::string place(std::int64_t sample) const { return "sample " + std::to_string(sample); }
};

}  // namespace cornstarch::dataio
