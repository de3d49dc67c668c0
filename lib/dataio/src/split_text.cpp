#include "split_text.h"

#include <algorithm>
#include <utility>

#include "unicode.h"

namespace cornstarch::dataio {
namespace {

struct Stretch {
  std::size_t begin, end;
  bool separator;
};

/// The whole text, cut at the matches.
Result<std::vector<Stretch>> stretches_of(const Splitter& splitter, const std::string& text) {
  std::vector<Stretch> stretches;
  const auto add = [&](std::size_t begin, std::size_t end, bool match) {
    if (begin < end) stretches.push_back({begin, end, match != splitter.invert});
  };
  std::size_t at = 0;
  while (at < text.size()) {
    auto found = splitter.pattern.search(text, at);
    if (!found) return tl::unexpected(found.error());
    if (!*found) break;
    add(at, (*found)->first, false);
    add((*found)->first, (*found)->second, true);
    at = (*found)->second;
  }
  add(at, text.size(), false);
  return stretches;
}

/// Whether `right` stays with `left`, its neighbour.
bool belong_together(const Stretch& left, const Stretch& right, Separators separators) {
  switch (separators) {
    case Separators::contiguous:
      return left.separator == right.separator;
    case Separators::merged_with_previous:
      return right.separator && !left.separator;
    case Separators::merged_with_next:
      return left.separator && !right.separator;
    default:
      return false;
  }
}

void keep(const Piece& piece, std::size_t begin, std::size_t end, std::vector<Piece>& out) {
  out.push_back({piece.text.slice(begin, end), piece.first && begin == 0});
}

Result<void> apply(const Splitter& splitter, Piece piece, std::vector<Piece>& out) {
  const auto stretches = stretches_of(splitter, piece.text.text);
  if (!stretches) return tl::unexpected(stretches.error());
  for (std::size_t i = 0; i < stretches->size();) {
    std::size_t last = i;
    while (last + 1 < stretches->size() &&
           belong_together((*stretches)[last], (*stretches)[last + 1], splitter.separators))
      ++last;
    const bool removed = splitter.separators == Separators::removed && (*stretches)[i].separator;
    if (!removed) keep(piece, (*stretches)[i].begin, (*stretches)[last].end, out);
    i = last + 1;
  }
  return {};
}

Result<void> apply(const ByteLevel& step, Piece piece, std::vector<Piece>& out) {
  if (step.add_prefix_space && !piece.text.text.starts_with(' ')) piece.text.prepend(" ");
  std::vector<Piece> words;
  if (step.splitter.empty()) {
    words.push_back(std::move(piece));
  } else {
    auto done = apply(step.splitter[0], std::move(piece), words);
    if (!done) return done;
  }
  for (const Piece& word : words) {
    Piece letters{{}, word.first};
    for (std::size_t i = 0; i < word.text.text.size(); ++i)
      letters.text.append(byte_letters()[static_cast<unsigned char>(word.text.text[i])],
                          word.text.marks[i] != 0);
    out.push_back(std::move(letters));
  }
  return {};
}

Result<void> apply(const Metaspace& step, Piece piece, std::vector<Piece>& out) {
  Piece whole{{}, piece.first};
  for (std::size_t i = 0; i < piece.text.text.size(); ++i) {
    const char c = piece.text.text[i];
    whole.text.append(c == ' ' ? std::string_view(step.replacement) : std::string_view(&c, 1),
                      piece.text.marks[i] != 0);
  }
  const bool wanted = step.prepend == Metaspace::Prepend::always ||
                      (step.prepend == Metaspace::Prepend::first && piece.first);
  const std::string& text = whole.text.text;
  if (wanted && !text.starts_with(step.replacement)) whole.text.prepend(step.replacement);
  for (std::size_t begin = 0, end; begin < text.size(); begin = end) {
    end = step.split ? std::min(text.find(step.replacement, begin + 1), text.size()) : text.size();
    keep(whole, begin, end, out);
  }
  return {};
}

}  // namespace

Result<std::vector<Piece>> pre_tokenize(const std::vector<PreTokenizerStep>& steps, Piece piece) {
  std::vector<Piece> pieces;
  pieces.push_back(std::move(piece));
  for (const PreTokenizerStep& step : steps) {
    std::vector<Piece> next;
    for (Piece& one : pieces) {
      auto done = std::visit([&](const auto& kind) { return apply(kind, std::move(one), next); }, step);
      if (!done) return tl::unexpected(done.error());
    }
    pieces = std::move(next);
  }
  return pieces;
}

}  // namespace cornstarch::dataio
