#pragma once

#include <memory>
#include <vector>

#include "cornstarch/base/result.h"

struct soxr;

namespace cornstarch::dataio {

/// Brings samples to another rate as they come (soxr, high quality). The result does not depend on how they
/// are dealt out.
class Resampler {
 public:
  static Result<Resampler> make(int from, int to);

  /// Appends to `out` what `samples` add to it; none of them: the end.
  Result<void> add(const std::vector<float>& samples, std::vector<float>& out);

 private:
  Resampler(int from, int to) : from_(from), to_(to) {}
  int from_, to_;
  std::unique_ptr<soxr, void (*)(soxr*)> soxr_{nullptr, nullptr};  ///< none where the rates are the same
};

}  // namespace cornstarch::dataio
