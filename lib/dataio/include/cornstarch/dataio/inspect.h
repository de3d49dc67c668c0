#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cornstarch/dataio/conversations.h"

namespace cornstarch::dataio {

/// How numbers are spread, in memory that does not grow with them.
class Spread {
 public:
  /// Values from 0 up, told apart by steps of `unit`; of wider steps where there would be too many of them.
  explicit Spread(double unit = 1) : unit_(unit) {}
  void add(double value);

  std::int64_t count() const { return count_; }
  double min() const { return min_; }
  double max() const { return max_; }
  double mean() const { return count_ > 0 ? sum_ / static_cast<double>(count_) : 0; }
  /// The smallest value with at least this share of all at it or below it, to the unit.
  double quantile(double share) const;

  struct Bar {
    double from = 0, to = 0;  ///< from <= value < to
    std::int64_t count = 0;
  };
  /// All values in at most `most` intervals of one round width, those without any between others included.
  std::vector<Bar> bars(int most) const;

 private:
  static constexpr std::size_t kMostSteps = 65'536;

  double unit_;
  std::map<std::int64_t, std::int64_t> steps_;  ///< how many values lie from key * unit on
  std::int64_t count_ = 0;
  double sum_ = 0, min_ = 0, max_ = 0;
};

/// How often something was seen, and in which sample first.
struct Seen {
  std::int64_t samples = 0;
  std::string first;  ///< "train.jsonl:12"
};

/// What a look through samples has found.
struct Inspection {
  struct Encoder {
    std::string placeholder;
    MediaKind kind = MediaKind::image;
    Spread items;          ///< in a sample, 0 included
    Spread width, height;  ///< of pictures, in pixels
    Spread seconds{0.1};   ///< of recordings whose header tells
    Spread places;         ///< patches or frames that the encoder gets of an item
    Spread features;       ///< placeholders in the row, of an item
    Seen cut;              ///< samples with a recording that is longer than the encoder takes
  };

  std::int64_t samples = 0;    ///< of an epoch
  std::int64_t looked_at = 0;  ///< of those
  Spread tokens;               ///< of a sample, features included, before it is cut
  Spread text_tokens;          ///< without features
  Spread learnt;               ///< tokens that are learnt from, before it is cut
  std::vector<Encoder> encoders;
  Seen cut;                     ///< samples that are longer than a row
  std::int64_t tokens_cut = 0;  ///< of these, behind the row's end
  Seen bad;                     ///< samples that cannot be read
  std::vector<Error> problems;  ///< of the first 20 of these
};

/// Reads samples whole, media included, on so many threads: all, or as many as `limit` says of them (see
/// some_samples). Memory does not grow with their number. `done` is told how many more have been read.
Inspection inspect(const ConversationDataset& data, std::int64_t limit, std::uint64_t seed, int workers,
                   const std::function<void(std::int64_t)>& done = {});

}  // namespace cornstarch::dataio
