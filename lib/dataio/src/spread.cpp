#include <algorithm>
#include <cmath>

#include "cornstarch/dataio/inspect.h"

namespace cornstarch::dataio {
namespace {

/// 1, 2, 5, 10, 20, ...: the first that is not less.
std::int64_t round_up(std::int64_t least) {
  for (std::int64_t power = 1;; power *= 10)
    for (const std::int64_t factor : {1, 2, 5})
      if (factor * power >= least) return factor * power;
}

}  // namespace

void Spread::add(double value) {
  min_ = count_ == 0 ? value : std::min(min_, value);
  max_ = count_ == 0 ? value : std::max(max_, value);
  sum_ += value;
  ++count_;
  ++steps_[static_cast<std::int64_t>(value / unit_ + 1e-9)];
  if (steps_.size() <= kMostSteps) return;
  std::map<std::int64_t, std::int64_t> wider;
  for (const auto& [step, count] : steps_) wider[step / 2] += count;
  steps_ = std::move(wider);
  unit_ *= 2;
}

double Spread::quantile(double share) const {
  std::int64_t below = 0;
  for (const auto& [step, count] : steps_) {
    below += count;
    if (static_cast<double>(below) >= share * static_cast<double>(count_))
      return std::clamp(static_cast<double>(step) * unit_, min_, max_);
  }
  return max_;
}

std::vector<Spread::Bar> Spread::bars(int most) const {
  std::vector<Bar> out;
  if (steps_.empty()) return out;
  const std::int64_t first = steps_.begin()->first, last = steps_.rbegin()->first;
  std::int64_t width = round_up((last - first) / most + 1);
  while (last / width - first / width >= most) width = round_up(width + 1);
  for (std::int64_t step = first / width; step <= last / width; ++step)
    out.push_back(
        {static_cast<double>(step * width) * unit_, static_cast<double>((step + 1) * width) * unit_, 0});
  for (const auto& [step, count] : steps_)
    out[static_cast<std::size_t>(step / width - first / width)].count += count;
  return out;
}

}  // namespace cornstarch::dataio
