#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cornstarch/dataio/dataset.h"

namespace cornstarch::dataio {

/// Up to `n` samples of a data set of `size`: the first n / 2, then some of the others, drawn by `seed`.
std::vector<std::int64_t> some_samples(std::int64_t size, std::int64_t n, std::uint64_t seed);

/// What reading some samples whole has brought up.
struct Probe {
  std::int64_t samples = 0;
  std::int64_t cut = 0;         ///< samples with a recording that is longer than its encoder takes
  std::int64_t first_cut = -1;  ///< the first of them
  std::int64_t cut_texts = 0;   ///< samples that are longer than a row
  std::int64_t first_cut_text = -1;
  std::int64_t targets = 0;     ///< tokens that are learnt from
  std::vector<Error> problems;  ///< one for each sample that cannot be read, in order
};
Probe probe(const Dataset& data, const std::vector<std::int64_t>& samples, int workers);

/// Reads a few samples before anything is made of them. An error where none of them can be read, or where one
/// cannot and bad samples are not skipped.
Result<void> try_samples(const Dataset& data, bool skips, std::uint64_t seed, int workers);

/// Why a sample cannot be read, or nothing if it can.
std::optional<Error> trouble_with(const Dataset& data, std::int64_t sample);

/// The first three of the problems that are most often among these, one a line. Problems are alike if they
/// differ in names, numbers and places only.
std::string commonest(const std::vector<Error>& problems);

}  // namespace cornstarch::dataio
