#include "cornstarch/base/text.h"
#include "cornstarch/config/load.h"
#include "scalars.h"

namespace cornstarch::config {

std::optional<std::vector<std::string>> expand_module_range(const std::string& entry) {
  constexpr std::uint64_t kMost = 10000;  // no model has more layers
  const std::size_t dots = entry.find("..");
  if (dots == std::string::npos) return std::vector<std::string>{entry};
  const std::size_t before = entry.find_last_of('.', dots - (dots > 0 ? 1 : 0));
  if (dots == 0 || before == std::string::npos || before == 0) return std::nullopt;
  const auto first = parse_integer(std::string_view(entry).substr(before + 1, dots - before - 1));
  const auto last = parse_integer(std::string_view(entry).substr(dots + 2));
  if (!first || !last || first->negative || last->negative) return std::nullopt;
  if (last->magnitude < first->magnitude || last->magnitude - first->magnitude >= kMost) return std::nullopt;

  std::vector<std::string> out;
  for (std::uint64_t i = first->magnitude; i <= last->magnitude; ++i) {
    out.push_back(cat(entry.substr(0, before + 1), i));
  }
  return out;
}

}  // namespace cornstarch::config
