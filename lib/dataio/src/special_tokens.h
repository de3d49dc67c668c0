#pragma once

#include <filesystem>
#include <vector>

#include "cornstarch/dataio/tokenizer.h"
#include "tokenizer_json.h"

namespace cornstarch::dataio {

struct SpecialTokens {
  std::optional<std::int64_t> begin, end, pad;
  bool adds_begin = false;  ///< a text begins with the begin token
  bool says_begin = false;  ///< something says which is the begin token, or that there is none
};

/// Which tokens are special, from what the config says, else from the files in `folder` (empty: none), else
/// by the names that published tokenizers give them.
SpecialTokens find_special_tokens(const TokenizerContent& content, const std::filesystem::path& folder,
                                  const TokenTexts& given, std::vector<TokenizerProblem>& problems);

}  // namespace cornstarch::dataio
