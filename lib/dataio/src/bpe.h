#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch::dataio {

/// Byte-pair encoding over bytes: a word starts as one token per byte; again and again the neighbours whose
/// merge was learnt first (leftmost if there are several) become one.
class Bpe {
 public:
  /// Tokens by their bytes (not by GPT-2's stand-ins).
  using Vocabulary = std::unordered_map<std::string, std::int32_t>;

  Bpe(Vocabulary vocabulary, bool ignore_merges);
  /// Merges in the order in which they were learnt. False if one of the three is no token.
  bool add_merge(const std::string& left, const std::string& right);

  /// Appends the tokens of a word.
  Result<void> encode(const std::string& word, std::vector<std::int64_t>& ids) const;
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  struct Merge {
    std::int32_t rank;
    std::int32_t id;
  };
  struct Symbol {
    std::int32_t id;
    std::int32_t previous, next;  ///< -1 at the ends
    bool gone;
  };
  struct Candidate;
  const Merge* merge_of(std::int32_t left, std::int32_t right) const;
  void merge_all(std::vector<Symbol>& symbols) const;

  Vocabulary vocabulary_;
  std::unordered_map<std::uint64_t, Merge> merges_;  ///< by both ids
  std::array<std::int32_t, 256> byte_ids_;           ///< -1 where the vocabulary lacks one
  bool ignore_merges_;
};

}  // namespace cornstarch::dataio
