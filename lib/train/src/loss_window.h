#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

namespace cornstarch::train {

/// The losses of the last steps, by which one that is out of line is known. It decides the future, and so is
/// part of the state.
///
/// Step s is held against the steps until s - 2, whether or not the loss of s - 1 is known when s is judged:
/// on a GPU it is not.
class LossWindow {
 public:
  static constexpr std::size_t kSize = 100, kJudgedFrom = 20;  ///< losses

  /// Of a step whose loss is finite; steps in order.
  void add(std::int64_t step, double loss);
  /// The mean of the last kSize losses until `step` - 2 and `zscore` times their standard deviation (the root
  /// of the mean squared distance from their mean); infinity where there are fewer than kJudgedFrom.
  double limit(std::int64_t step, double zscore) const;

  /// "7:0.5 8:0.25": exact, to be read back by of(), which takes what is none for the end.
  std::string text() const;
  static LossWindow of(const std::string& text);

  bool operator==(const LossWindow&) const = default;

 private:
  std::deque<std::pair<std::int64_t, double>> losses_;  ///< and their steps
};

}  // namespace cornstarch::train
