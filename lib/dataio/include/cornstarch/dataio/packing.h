#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "cornstarch/dataio/sampler.h"

namespace cornstarch::dataio {

/// What a sample asks of the ranks.
struct Load {
  std::int64_t tokens = 0;  ///< of the LLM, as many as a row has at most; 0 of a sample that cannot be read
  double cost = 0;          ///< of the sample in all models, in any unit
};

struct PackedShape {
  std::int64_t row_length = 0;     ///< tokens of a row
  std::int64_t rows_per_step = 0;  ///< over all replicas

  /// Steps that are packed at once: rows enough for one that is not full to make no difference.
  std::int64_t steps() const;
  std::int64_t rows() const { return steps() * rows_per_step; }
};

/// Which samples share a row, and which rows a step, of one window of the order.
struct Packed {
  using Row = std::vector<std::int64_t>;  ///< ascending
  std::vector<std::vector<Row>> steps;    ///< [PackedShape::steps()][rows_per_step]
  std::int64_t taken = 0;                 ///< of the samples, the first so many are in it, each once
};

/// Of `loads`, those that shape.rows() rows take, in rows that are full and cost the same: the longest
/// go first, each into the row of least cost that has room. Rows of a step are in an order in which its
/// contiguous shares, as replicas and microbatches take them, cost about the same, too.
Packed pack(std::span<const Load> loads, const PackedShape& shape);

/// Samples of steps, packed: a function of the order, the samples' loads and the shape, never of the layout.
/// Safe to use from several threads at once.
class Packer {
 public:
  /// Of samples, in their order.
  using Measure = std::function<std::vector<Load>(const std::vector<std::int64_t>& samples)>;

  /// `seed`: of the order of a window's steps.
  Packer(Sampler sampler, PackedShape shape, std::uint64_t seed, Measure measure);

  /// The step that begins at `position`; of a position in a window of another shape, which has no such step,
  /// no samples.
  GlobalBatch at(const Position& position);

 private:
  /// What is packed at once: samples of the run that follow one another.
  struct Window {
    std::int64_t first = 0;
    std::vector<std::int64_t> samples;
    Packed packed;
    std::int64_t fingerprint = 0;
  };
  Window make(std::int64_t first) const;

  Sampler sampler_;
  PackedShape shape_;
  std::uint64_t seed_;
  Measure measure_;
  std::mutex mutex_;
  std::optional<Window> window_;  ///< the last one
};

}  // namespace cornstarch::dataio
