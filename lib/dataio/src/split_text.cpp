#include "split_text.h"

#include <utility>

namespace cornstarch::dataio {
namespace {

Result<void> split_piece(const Splitter& splitter, const std::string& piece, std::vector<std::string>& out) {
  const auto keep = [&](std::size_t begin, std::size_t end, bool match) {
    const bool separator = match != splitter.invert;
    if (begin < end && !(separator && splitter.drop_separators))
      out.push_back(piece.substr(begin, end - begin));
  };
  std::size_t at = 0;
  while (at < piece.size()) {
    auto found = splitter.pattern.search(piece, at);
    if (!found) return tl::unexpected(found.error());
    if (!*found) break;
    const auto [begin, end] = **found;
    keep(at, begin, false);
    keep(begin, end, true);
    at = end;
  }
  keep(at, piece.size(), false);
  return {};
}

}  // namespace

Result<std::vector<std::string>> Splitter::operator()(const std::vector<std::string>& pieces) const {
  std::vector<std::string> out;
  for (const std::string& piece : pieces) {
    auto done = split_piece(*this, piece, out);
    if (!done) return tl::unexpected(done.error());
  }
  return out;
}

Result<std::vector<std::string>> pre_tokenize(const std::vector<PreTokenizerStep>& steps,
                                              std::string_view text) {
  std::vector<std::string> pieces{std::string(text)};
  for (const PreTokenizerStep& step : steps) {
    for (std::string& piece : pieces) {
      if (step.add_prefix_space && !piece.starts_with(' ')) piece.insert(piece.begin(), ' ');
    }
    for (const Splitter& splitter : step.splitters) {
      auto next = splitter(pieces);
      if (!next) return next;
      pieces = std::move(*next);
    }
  }
  return pieces;
}

}  // namespace cornstarch::dataio
