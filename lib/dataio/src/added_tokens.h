#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "marked_text.h"

namespace cornstarch::dataio {

/// A token that is found in the text itself, before anything is split.
struct AddedToken {
  std::string content;
  std::int64_t id = 0;
  bool single_word = false;  ///< only where no letter or digit touches it
  bool lstrip = false;       ///< takes the spaces on its left
  bool rstrip = false;       ///< takes the spaces on its right
  bool normalized = false;   ///< looked for in the normalised text
  bool special = false;
};

/// A part of a text: an added token, or text between (id -1).
struct Part {
  std::int64_t id = -1;
  MarkedText text;
  bool first = false;  ///< the text begins with it
};

/// Finds tokens, leftmost first, the longest at each place.
class AddedTokenFinder {
 public:
  /// `spelling` is what is looked for: the token's content, normalised if it is looked for in normalised
  /// text.
  void add(const AddedToken& token, const std::string& spelling);
  /// Once all are added.
  void sort();
  std::vector<Part> split(const MarkedText& text) const;

 private:
  struct Pattern {
    std::string spelling;
    AddedToken token;
  };
  const Pattern* longest_at(std::string_view rest) const;

  std::vector<Pattern> patterns_;                                             ///< in order of their bytes
  std::array<std::pair<std::uint32_t, std::uint32_t>, 256> by_first_byte_{};  ///< begin and end in patterns_
};

}  // namespace cornstarch::dataio
