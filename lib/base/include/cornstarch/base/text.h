#pragma once

#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace cornstarch {

/// The arguments, streamed one after the other.
template <typename... Args>
std::string cat(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return out.str();
}

std::string join(const std::vector<std::string>& items, std::string_view separator);
std::vector<std::string> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);

/// Levenshtein distance with transpositions (optimal string alignment).
int edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`, upper and lower case alike, if it is near enough to be a likely slip
/// (distance <= max(1, length / 3)).
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& candidates);

/// "did you mean 'tp'?" or "", ready to be a help text.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

/// "1.5 GiB", "312 MiB", "17 B".
std::string human_bytes(double bytes);

}  // namespace cornstarch
