#include "selection.h"

#include <algorithm>

#include "cornstarch/base/random.h"

namespace cornstarch::dataio {
namespace {

constexpr std::int64_t kBlock = 256;

}  // namespace

double held_out_draw(const SampleIndex::Entry& entry) {
  return entry.malformed != 0 ? 1.0 : Philox(entry.identity).uniform(0);
}

Selection::Selection(const SampleIndex& index, Portion portion, double bound)
    : portion_(portion), bound_(bound) {
  if (portion_ == Portion::all) {
    size_ = index.size();
    return;
  }
  for (std::int64_t sample = 0; sample < index.size(); ++sample) {
    if (sample % kBlock == 0) before_.push_back(size_);
    size_ += has(index[sample]) ? 1 : 0;
  }
}

bool Selection::has(const SampleIndex::Entry& entry) const {
  return portion_ == Portion::all || (held_out_draw(entry) < bound_) == (portion_ == Portion::held_out);
}

std::int64_t Selection::at(const SampleIndex& index, std::int64_t nth) const {
  if (portion_ == Portion::all) return nth;
  const auto block = std::upper_bound(before_.begin(), before_.end(), nth) - before_.begin() - 1;
  std::int64_t sample = block * kBlock;
  for (std::int64_t left = nth - before_[static_cast<std::size_t>(block)];; ++sample)
    if (has(index[sample]) && left-- == 0) return sample;
}

}  // namespace cornstarch::dataio
