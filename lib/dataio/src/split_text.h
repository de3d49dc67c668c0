#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cornstarch/base/result.h"
#include "regex.h"

namespace cornstarch::dataio {

/// One step of cutting text into words before BPE.
struct Splitter {
  Regex pattern;
  bool invert = false;  ///< the words are what lies between the matches
  bool drop_separators =
      false;  ///< "Removed": only the words (or, without invert, only what is no match) remain

  /// Each piece cut further.
  Result<std::vector<std::string>> operator()(const std::vector<std::string>& pieces) const;
};

/// pre_tokenizer as a list of steps: "ByteLevel" with its own pattern is a Splitter after the space is put in
/// front.
struct PreTokenizerStep {
  bool add_prefix_space = false;
  std::vector<Splitter> splitters;  ///< none or one
};

/// The words of a text.
Result<std::vector<std::string>> pre_tokenize(const std::vector<PreTokenizerStep>& steps,
                                              std::string_view text);

}  // namespace cornstarch::dataio
