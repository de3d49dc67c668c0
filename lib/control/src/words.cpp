#include "cornstarch/control/words.h"

#include <algorithm>

#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"

namespace cornstarch::control {

std::string describe_ranks(const std::vector<int>& ranks) {
  constexpr std::size_t kShown = 8;
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < std::min(ranks.size(), kShown); ++i) text += cat(i ? ", " : "", ranks[i]);
  if (ranks.size() > kShown) text += cat(" and ", ranks.size() - kShown, " more");
  return text;
}

std::string describe_duration(std::chrono::milliseconds duration) {
  return cat(static_cast<double>(duration.count()) / 1000.0, " s");
}

std::string stopped_because(int rank, const std::string& cause) {
  return cat("stopped because rank ", rank, " failed: ", cause);
}

std::string one_line(const std::string& text) {
  std::string line = harmless(trim(text));
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

}  // namespace cornstarch::control
