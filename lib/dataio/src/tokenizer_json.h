#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "added_tokens.h"
#include "bpe.h"
#include "cornstarch/base/result.h"
#include "split_text.h"
#include "unicode.h"

namespace cornstarch::dataio {

struct TokenPiece {
  std::string bytes;  ///< what it decodes to
  bool special = false;
};

/// What a tokenizer.json says.
struct TokenizerContent {
  Bpe bpe{{}, false};
  std::vector<NormalForm> normal_forms;
  std::vector<PreTokenizerStep> steps;
  AddedTokenFinder raw_finder;         ///< in the text as it is
  AddedTokenFinder normalized_finder;  ///< in the normalised text
  std::map<std::string, std::int64_t, std::less<>> added;
  std::map<std::string, std::int64_t, std::less<>> unspellable;  ///< tokens of the model that spell no bytes
  std::vector<TokenPiece> pieces;                                ///< by id
};

Result<std::string> normalize(std::string_view text, const std::vector<NormalForm>& forms);

Result<TokenizerContent> read_tokenizer_json(std::string_view json);

}  // namespace cornstarch::dataio
