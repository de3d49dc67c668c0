#include "loss_window.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>

#include "cornstarch/base/text.h"

namespace cornstarch::train {

void LossWindow::add(std::int64_t step, double loss) {
  losses_.emplace_back(step, loss);
  // The newest one is not yet counted when the next step is judged.
  if (losses_.size() > kSize + 1) losses_.pop_front();
}

double LossWindow::limit(std::int64_t step, double zscore) const {
  auto end = losses_.end();
  while (end != losses_.begin() && std::prev(end)->first > step - 2) --end;
  const auto begin = end - std::min(end - losses_.begin(), static_cast<std::ptrdiff_t>(kSize));
  if (end - begin < static_cast<std::ptrdiff_t>(kJudgedFrom)) return std::numeric_limits<double>::infinity();
  const auto n = static_cast<double>(end - begin);
  double mean = 0, variance = 0;
  for (auto at = begin; at != end; ++at) mean += at->second / n;
  for (auto at = begin; at != end; ++at) variance += (at->second - mean) * (at->second - mean) / n;
  return mean + zscore * std::sqrt(variance);
}

std::string LossWindow::text() const {
  std::string out;
  for (const auto& [step, loss] : losses_) {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, loss).ptr;
    out += cat(out.empty() ? "" : " ", step, ":",
               std::string_view(digits, static_cast<std::size_t>(end - digits)));
  }
  return out;
}

LossWindow LossWindow::of(const std::string& text) {
  LossWindow out;
  const char *at = text.data(), *const end = at + text.size();
  while (at < end) {
    std::int64_t step = 0;
    double loss = 0;
    const auto number = std::from_chars(at, end, step);
    if (number.ec != std::errc() || number.ptr == end || *number.ptr != ':') break;
    const auto value = std::from_chars(number.ptr + 1, end, loss);
    if (value.ec != std::errc() || !std::isfinite(loss)) break;
    out.add(step, loss);
    at = value.ptr + 1;
  }
  return out;
}

}  // namespace cornstarch::train
