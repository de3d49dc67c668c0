#include "cornstarch/base/words.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"

namespace cornstarch {

std::string describe_ranks(const std::vector<int>& ranks) {
  constexpr std::size_t kShown = 8;
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < std::min(ranks.size(), kShown); ++i) text += cat(i ? ", " : "", ranks[i]);
  if (ranks.size() > kShown) text += cat(" and ", ranks.size() - kShown, " more");
  return text;
}

std::string describe_duration(std::chrono::duration<double> duration) {
  std::array<char, 32> text{};
  const double seconds = duration.count();
  std::snprintf(text.data(), text.size(), seconds < 100 ? "%.3g s" : "%.0f s", seconds);
  return text.data();
}

std::string describe_shape(const std::vector<std::int64_t>& shape) {
  std::vector<std::string> sizes;
  for (const std::int64_t size : shape) sizes.push_back(std::to_string(size));
  return cat("[", join(sizes, ", "), "]");
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 && name[0] ? name.data() : "?";
}

std::string stopped_because(int rank, const std::string& cause) {
  return cat("stopped because rank ", rank, " failed: ", cause);
}

std::string one_line(const std::string& text) {
  std::string line = harmless(trim(text));
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

}  // namespace cornstarch
