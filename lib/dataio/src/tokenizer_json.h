#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "added_tokens.h"
#include "bpe.h"
#include "cornstarch/base/result.h"
#include "normalizer.h"
#include "split_text.h"
#include "token_decoder.h"

namespace cornstarch::dataio {

/// What a tokenizer.json says.
struct TokenizerContent {
  struct Added {
    std::string spelling;  ///< what it decodes to, before the decoder
    bool special = false;
  };
  Bpe bpe;
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> steps;
  std::vector<DecoderStep> decoder;
  AddedTokenFinder raw_finder;         ///< in the text as it is
  AddedTokenFinder normalized_finder;  ///< in the normalised text
  std::map<std::string, std::int64_t, std::less<>> added;
  std::map<std::int64_t, Added> added_by_id;
  std::optional<std::string> post_begin;  ///< what the post-processor, if any, puts in front; "": nothing

  /// The highest id + 1.
  std::int64_t size() const;
};

Result<TokenizerContent> read_tokenizer_json(std::string_view json);

}  // namespace cornstarch::dataio
