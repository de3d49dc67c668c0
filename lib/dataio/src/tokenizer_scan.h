#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "bpe.h"
#include "cornstarch/base/result.h"
#include "json_text.h"
#include "vocabulary.h"

namespace cornstarch::dataio {

/// A tokenizer.json without building a tree of its vocabulary and merges, which are nearly all of it: 9 MB
/// and 400,000 values in Llama 3's.
class TokenizerScan {
 public:
  static Result<TokenizerScan> open(std::string_view json);
  TokenizerScan(TokenizerScan&&) noexcept;
  ~TokenizerScan();

  /// Everything else. `model` lacks `vocab` and `merges`.
  Result<Json> rest();
  Result<Vocabulary> vocabulary();
  /// By the ids of `vocabulary`.
  Result<std::vector<Merge>> merges(const Vocabulary& vocabulary);

 private:
  struct State;
  explicit TokenizerScan(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// "the id of token 'x' is a string": ids are whole numbers up to 2^24.
Result<std::int64_t> token_id(const Json& value, std::string_view token);

}  // namespace cornstarch::dataio
