#pragma once

#include <cstdint>
#include <vector>

#include "cornstarch/dataio/dataset.h"

namespace cornstarch::train {

/// Counts the bad among the samples that a run reads, or an evaluation, and ends it where there are more than
/// are allowed. What it counts has been agreed upon, so that all ranks end with the same words.
class BadSamples {
 public:
  /// `of` samples are all that will be read, as far as none comes again.
  BadSamples(const dataio::Dataset& data, std::int64_t of, double allowed_share);

  /// A global batch; samples below 0 are none. Throws Failure.
  void add(const std::vector<std::int64_t>& samples, const std::vector<double>& bad);

  /// As if so many had been read before, and so many of them been bad.
  void go_on(std::int64_t read, std::int64_t bad) {
    read_ = read;
    bad_ = bad;
  }

  std::int64_t read() const { return read_; }
  std::int64_t bad() const { return bad_; }

 private:
  [[noreturn]] void give_up() const;

  const dataio::Dataset& data_;
  std::int64_t judged_from_;
  double allowed_share_;
  std::int64_t read_ = 0, bad_ = 0;
  std::vector<std::int64_t> examples_;
};

}  // namespace cornstarch::train
