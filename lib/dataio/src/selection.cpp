#include "selection.h"

#include <algorithm>

#include "cornstarch/base/random.h"

namespace cornstarch::dataio {
namespace {

constexpr std::int64_t kBlock = 256;

}  // namespace

double held_out_draw(const SampleIndex::Entry& entry) { return Philox(entry.identity).uniform(0); }

Selection::Selection(const SampleFile& file, Portion portion, double bound)
    : portion_(portion), bound_(bound) {
  const std::int64_t samples = file.index().size();
  if (portion_ == Portion::all) {
    size_ = samples;
    return;
  }
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    if (sample % kBlock == 0) before_.push_back(size_);
    size_ += has(file, sample) ? 1 : 0;
  }
}

bool Selection::has(const SampleFile& file, std::int64_t sample) const {
  if (portion_ == Portion::all) return true;
  const bool held_out = held_out_draw(file.index()[sample]) < bound_ && file.sound(sample);
  return held_out == (portion_ == Portion::held_out);
}

std::int64_t Selection::at(const SampleFile& file, std::int64_t nth) const {
  if (portion_ == Portion::all) return nth;
  const auto block = std::upper_bound(before_.begin(), before_.end(), nth) - before_.begin() - 1;
  std::int64_t sample = block * kBlock;
  for (std::int64_t left = nth - before_[static_cast<std::size_t>(block)];; ++sample)
    if (has(file, sample) && left-- == 0) return sample;
}

}  // namespace cornstarch::dataio
