#include "module_names.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "cornstarch/base/text.h"

namespace cornstarch::catalog {
namespace {

struct Numbered {
  std::string prefix;  ///< with its point
  long number = 0;
};

/// A name that ends in a number.
std::optional<Numbered> numbered(const std::string& name) {
  constexpr std::size_t kMostDigits = 9;
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos || dot + 1 == name.size() || name.size() - dot - 1 > kMostDigits)
    return std::nullopt;
  const std::string digits = name.substr(dot + 1);
  const bool all =
      std::all_of(digits.begin(), digits.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  if (!all) return std::nullopt;
  return Numbered{name.substr(0, dot + 1), std::stol(digits)};
}

}  // namespace

std::vector<std::string> compress_modules(const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < names.size();) {
    const auto first = numbered(names[i]);
    std::size_t end = i + 1;
    for (; first && end < names.size(); ++end) {
      const auto next = numbered(names[end]);
      if (!next || next->prefix != first->prefix ||
          next->number != first->number + static_cast<long>(end - i))
        break;
    }
    out.push_back(end == i + 1 ? names[i]
                               : cat(names[i], "..", first->number + static_cast<long>(end - i) - 1));
    i = end;
  }
  return out;
}

std::vector<std::string> names_of(const ModelSpec& spec) {
  std::vector<std::string> names;
  for (const ModuleSpec& module : spec.modules) names.push_back(module.name);
  return names;
}

std::string without_number(const std::string& module) {
  const auto parts = numbered(module);
  return parts ? cat(parts->prefix, '#') : module;
}

std::string siblings(const std::string& module, const std::vector<std::string>& names) {
  const std::string kind = without_number(module);
  if (kind == module) return "";
  std::vector<std::string> same;
  for (const std::string& name : names) {
    if (without_number(name) == kind) same.push_back(name);
  }
  return listed(same);
}

std::string listed(const std::vector<std::string>& names) { return join(compress_modules(names), ", "); }

}  // namespace cornstarch::catalog
