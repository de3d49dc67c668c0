#pragma once

#include <cstdint>
#include <vector>

#include "sample_file.h"

namespace cornstarch::dataio {

/// Below this draw a sound sample is held out: a number in [0, 1) that what the sample says gives, whatever
/// its place.
double held_out_draw(const SampleIndex::Entry& entry);

/// The samples of a file that belong to a portion of the data, in the file's order: 8 bytes for each 256 of
/// the file.
class Selection {
 public:
  Selection() = default;
  Selection(const SampleFile& file, Portion portion, double bound);

  std::int64_t size() const { return size_; }
  /// The file's sample that is this portion's `nth`. `file`: the same.
  std::int64_t at(const SampleFile& file, std::int64_t nth) const;
  bool has(const SampleFile& file, std::int64_t sample) const;

 private:
  Portion portion_ = Portion::all;
  double bound_ = 0;
  std::int64_t size_ = 0;
  std::vector<std::int64_t> before_;  ///< how many stand before each block
};

}  // namespace cornstarch::dataio
