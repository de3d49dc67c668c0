#pragma once

#include <string>
#include <variant>
#include <vector>

#include "cornstarch/base/result.h"
#include "marked_text.h"
#include "regex.h"

namespace cornstarch::dataio {

/// A part of a text on its way to be a word.
struct Piece {
  MarkedText text;
  bool first = false;  ///< the text begins with it
};

/// What becomes of the matches of a pattern ("separators").
enum class Separators { isolated, removed, contiguous, merged_with_previous, merged_with_next };

/// "Split" and "Digits".
struct Splitter {
  Regex pattern;
  bool invert = false;  ///< what lies between the matches is what separates
  Separators separators = Separators::isolated;
};

/// GPT-2's: each byte of a word becomes a letter that can be seen.
struct ByteLevel {
  bool add_prefix_space = false;
  std::vector<Splitter> splitter;  ///< none or one
};

/// SentencePiece's: spaces become '▁', which words begin with.
struct Metaspace {
  enum class Prepend { never, first, always };
  std::string replacement;
  Prepend prepend = Prepend::always;  ///< whether '▁' is put where a text (the first piece) lacks it
  bool split = true;
};

/// `pre_tokenizer` of a tokenizer.json, a "Sequence" being several steps.
using PreTokenizerStep = std::variant<Splitter, ByteLevel, Metaspace>;

/// The words of a piece of text, in the model's spelling.
Result<std::vector<Piece>> pre_tokenize(const std::vector<PreTokenizerStep>& steps, Piece piece);

}  // namespace cornstarch::dataio
