#include "normalizer.h"

#include <algorithm>
#include <utility>

namespace cornstarch::dataio {
namespace {

Result<MarkedText> apply(NormalForm form, MarkedText text) {
  MarkedText out;
  for (std::size_t at = 0; at < text.text.size();) {
    const char mark = text.marks[at];
    const std::size_t end = std::min(text.marks.find(mark == 0 ? char{1} : char{0}, at), text.text.size());
    auto normal = normalize(std::string_view(text.text).substr(at, end - at), form);
    if (!normal) return tl::unexpected(normal.error());
    out.append(*normal, mark != 0);
    at = end;
  }
  return out;
}

Result<MarkedText> apply(const Prepend& prepend, MarkedText text) {
  if (!text.text.empty()) text.prepend(prepend.text);
  return text;
}

Result<MarkedText> apply(const Replace& replace, const MarkedText& text) {
  return replace_all(replace, text);
}

}  // namespace

Result<MarkedText> replace_all(const Replace& replace, const MarkedText& text) {
  MarkedText out;
  std::size_t at = 0;
  while (at < text.text.size()) {
    auto found = replace.pattern.search(text.text, at);
    if (!found) return tl::unexpected(found.error());
    if (!*found) break;
    const auto [begin, end] = **found;
    out.append(text, at, begin);
    out.append(replace.content, text.any(begin, end));
    at = end;
  }
  out.append(text, at, text.text.size());
  return out;
}

Result<MarkedText> normalize(const std::vector<NormalizerStep>& steps, MarkedText text) {
  for (const NormalizerStep& step : steps) {
    auto next = std::visit([&](const auto& kind) { return apply(kind, std::move(text)); }, step);
    if (!next) return next;
    text = std::move(*next);
  }
  return text;
}

}  // namespace cornstarch::dataio
