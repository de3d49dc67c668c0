#include "slips.h"

#include <regex>

#include "cornstarch/base/text.h"
#include "cornstarch/config/load.h"

namespace cornstarch::config {

std::optional<Unspaced> unspaced(const std::string& text) {
  constexpr std::size_t kLongest = 500;  // std::regex recurses for each character
  static const std::regex form(R"(^\s*(?:-\s+)*([A-Za-z_]\w*)(?::(?!//)|\s*=\s*)([^\s:=].*)$)");
  std::smatch parts;
  if (text.size() > kLongest || !std::regex_match(text, parts, form)) return std::nullopt;
  return Unspaced{parts[1], cat(parts[1].str(), ": ", trim(parts[2].str()))};
}

std::optional<ForeignRange> foreign_range(const std::string& text) {
  constexpr std::size_t kLongest = 500;
  if (text.size() > kLongest) return std::nullopt;
  // layers[0:2] as Python slices, without its end; layers.{0..1}, layers.[0-1], layers.0-1 with it.
  static const std::regex form(
      R"(([A-Za-z_][\w.]*?)\.?(?:\[(\d{1,4}):(\d{1,4})\]|[\[{(](\d{1,4})(?:\.\.|-)(\d{1,4})[\]})]|\.(\d{1,4})-(\d{1,4})(?!\w)))");
  std::smatch parts;
  if (!std::regex_search(text, parts, form)) return std::nullopt;
  const std::size_t at = parts[2].matched ? 2 : parts[4].matched ? 4 : 6;
  const int first = std::stoi(parts[at]), last = std::stoi(parts[at + 1]) - (at == 2 ? 1 : 0);
  if (last < first) return std::nullopt;
  return ForeignRange{parts[0], cat(parts[1].str(), ".", first, "..", last)};
}

std::optional<std::string> meant_range(const std::string& entry) {
  const auto range = foreign_range(entry);
  if (!range || range->written != entry) return std::nullopt;
  return range->mended;
}

}  // namespace cornstarch::config
