#include "cornstarch/base/path_pattern.h"

#include <glob.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include "cornstarch/base/text.h"

namespace cornstarch {
namespace {

namespace fs = std::filesystem;
using Texts = std::vector<std::string>;

constexpr std::size_t kMostFiles = 1'000'000;

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 9 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// "000..127": as wide as the wider bound, if one of them begins with zeros.
std::optional<Texts> range(std::string_view inside) {
  const std::size_t dots = inside.find("..");
  if (dots == std::string_view::npos) return std::nullopt;
  const std::string_view first = inside.substr(0, dots), last = inside.substr(dots + 2);
  if (!is_number(first) || !is_number(last)) return std::nullopt;
  const auto padded = [](std::string_view text) { return text.size() > 1 && text[0] == '0'; };
  const std::size_t width = padded(first) || padded(last) ? std::max(first.size(), last.size()) : 0;
  std::int64_t at = 0, end = 0;
  std::from_chars(first.data(), first.data() + first.size(), at);
  std::from_chars(last.data(), last.data() + last.size(), end);
  Texts out;
  for (const std::int64_t step = at <= end ? 1 : -1; out.size() < kMostFiles; at += step) {
    const std::string digits = std::to_string(at);
    out.push_back(std::string(width - std::min(width, digits.size()), '0') + digits);
    if (at == end) break;
  }
  return out;
}

/// What braces spell out, the first ones slowest.
Texts braces(const std::string& pattern) {
  for (std::size_t open = pattern.find('{'); open != std::string::npos; open = pattern.find('{', open + 1)) {
    const std::size_t close = pattern.find('}', open);
    if (close == std::string::npos) break;
    const std::string inside = pattern.substr(open + 1, close - open - 1);
    auto choices = range(inside);
    if (!choices && inside.find(',') != std::string::npos) choices = split(inside, ',');
    if (!choices) continue;
    const Texts rests = braces(pattern.substr(close + 1));
    Texts out;
    for (const std::string& choice : *choices) {
      for (const std::string& rest : rests) {
        if (out.size() < kMostFiles) out.push_back(pattern.substr(0, open) + choice + rest);
      }
    }
    return out;
  }
  return {pattern};
}

Result<Texts> matches(const std::string& pattern) {
  glob_t found{};
  const std::unique_ptr<glob_t, decltype(&globfree)> owner(&found, &globfree);
  const int status = ::glob(pattern.c_str(), 0, nullptr, &found);
  if (status == GLOB_NOMATCH) return fail(ExitCode::missing_input, cat("'", pattern, "' matches no file"));
  if (status != 0) return fail(ExitCode::io, cat("'", pattern, "' cannot be looked for"));
  return Texts(found.gl_pathv, found.gl_pathv + found.gl_pathc);
}

}  // namespace

Result<std::vector<fs::path>> expand_pattern(const std::string& pattern) {
  std::error_code ignored;
  if (fs::exists(pattern, ignored)) return std::vector<fs::path>{pattern};
  const Texts spelt = braces(pattern);
  const bool braced = spelt.size() != 1 || spelt[0] != pattern;
  std::vector<fs::path> out;
  Texts missing;
  for (const std::string& each : spelt) {
    if (each.find_first_of("*?[") != std::string::npos) {
      const auto found = matches(each);
      if (!found) return tl::unexpected(found.error());
      out.insert(out.end(), found->begin(), found->end());
    } else {
      if (braced && !fs::exists(each, ignored)) missing.push_back(each);
      out.emplace_back(each);
    }
    if (out.size() >= kMostFiles)
      return fail(ExitCode::usage, cat("'", pattern, "' names ", kMostFiles, " files and more"));
  }
  if (missing.empty()) return out;
  const std::string more = missing.size() > 1 ? cat(" and ", missing.size() - 1, " more") : "";
  return fail(ExitCode::missing_input, cat("'", missing[0], "'", more, missing.size() > 1 ? " do" : " does",
                                           " not exist, of ", spelt.size(), " that '", pattern, "' names"));
}

}  // namespace cornstarch
