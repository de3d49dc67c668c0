#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <vector>

namespace cornstarch::dataio {

/// How far a run has come in its order.
struct Position {
  std::int64_t samples = 0;  ///< that it has taken, where they are packed in whole windows;
  std::int64_t steps = 0;    ///< and then those of the window that begins there
  bool operator==(const Position&) const = default;
};

/// The samples of one step over all replicas; below 0: none.
struct GlobalBatch {
  std::vector<std::int64_t> samples;
  std::vector<std::int64_t> rows = {};  ///< of each row its first, where rows hold more than one
  Position after = {};                  ///< where the next step begins
  std::int64_t window = 0;              ///< packed: a fingerprint of the window, above 0

  /// Where row `row` begins among the samples, or the last one ends.
  std::int64_t begin_of(std::int64_t row) const {
    if (rows.empty()) return row;
    return row < std::ssize(rows) ? rows[static_cast<std::size_t>(row)] : std::ssize(samples);
  }
};

/// The order of samples: a function of seed and epoch alone, never of the layout. A step takes the next
/// `global_batch` samples; where an epoch ends within a step, the next epoch's first samples follow.
class Sampler {
 public:
  /// At least one sample and a batch of at least one; anything else is a mistake of the caller (Failure).
  Sampler(std::int64_t dataset_size, std::int64_t global_batch, bool shuffle, std::uint64_t seed);

  /// The samples of step `step` (from 0), in order: replica d of dp works on the d-th contiguous block,
  /// microbatch m on the m-th block of that.
  std::vector<std::int64_t> global_batch(std::int64_t step) const;
  /// The step that begins at a position.
  GlobalBatch at(const Position& position) const;
  /// The samples `first`, ..., `first` + `count` - 1 of the run, whatever the batches: each epoch has each
  /// once.
  std::vector<std::int64_t> samples(std::int64_t first, std::int64_t count) const;

 private:
  std::int64_t size_, batch_;
  bool shuffle_;
  std::uint64_t seed_;
  struct Cache;
  std::shared_ptr<Cache> cache_;  ///< shared by copies, locked
};

}  // namespace cornstarch::dataio
