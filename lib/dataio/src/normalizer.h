#pragma once

#include <string>
#include <variant>
#include <vector>

#include "cornstarch/base/result.h"
#include "marked_text.h"
#include "regex.h"
#include "unicode.h"

namespace cornstarch::dataio {

struct Prepend {
  std::string text;
};

struct Replace {
  Regex pattern;
  std::string content;
};

/// `normalizer` of a tokenizer.json, a "Sequence" being several steps.
using NormalizerStep = std::variant<NormalForm, Prepend, Replace>;

Result<MarkedText> replace_all(const Replace& replace, const MarkedText& text);

/// Unicode's normal forms are made of each marked and unmarked stretch by itself.
Result<MarkedText> normalize(const std::vector<NormalizerStep>& steps, MarkedText text);

}  // namespace cornstarch::dataio
