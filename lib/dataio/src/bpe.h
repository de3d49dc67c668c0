#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/dataio/tokenizer.h"
#include "marked_text.h"
#include "vocabulary.h"

namespace cornstarch::dataio {

/// Two neighbours that become one token.
struct Merge {
  std::int32_t left, right, both;
};

/// How a byte that is no character is spelled: <0x0A>.
std::string byte_token(unsigned byte);

/// Byte-pair encoding: a word starts as one token per character; again and again the neighbours whose merge
/// was learnt first (leftmost if there are several) become one.
class Bpe {
 public:
  struct Options {
    bool ignore_merges = false;  ///< a word that is a token stays whole
    bool byte_fallback = false;  ///< a character that is no token becomes its bytes: <0x0A>
    bool fuse_unknown = false;   ///< neighbours that are no tokens become one unknown token
    std::int32_t unknown = -1;   ///< -1: none
  };

  Bpe() = default;
  /// Merges in the order in which they were learnt; of equal pairs the last counts.
  Bpe(Vocabulary vocabulary, const std::vector<Merge>& merges, Options options);

  /// Appends the tokens of a word.
  Result<void> encode(const MarkedText& word, Encoded& out) const;
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  struct Learnt {
    std::uint64_t pair = kFree;
    std::int32_t rank = 0;
    std::int32_t both = 0;
  };
  struct Symbol {
    std::int32_t id;
    std::int32_t previous, next;  ///< -1 at the ends
    std::uint32_t begin;          ///< in the word
    bool gone;
  };
  struct Candidate;
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};  // no pair: ids are not negative

  std::size_t slot_of(std::uint64_t pair) const;
  const Learnt* merge_of(std::int32_t left, std::int32_t right) const;
  std::int32_t character(std::string_view letter) const;
  Result<std::vector<Symbol>> symbols_of(std::string_view word) const;
  void merge_all(std::vector<Symbol>& symbols) const;

  Vocabulary vocabulary_;
  std::vector<Learnt> merges_;               ///< by pair; a power of two, a fifth of it free
  std::array<std::int32_t, 0x800> short_{};  ///< of characters of one or two bytes
  std::array<std::int32_t, 256> bytes_{};    ///< of <0x00> to <0xFF>
  Options options_;
};

}  // namespace cornstarch::dataio
