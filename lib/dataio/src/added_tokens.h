#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

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
  std::string text;
};

/// Finds tokens, leftmost first, the longest at each place.
class AddedTokenFinder {
 public:
  /// `spelling` is what is looked for: the token's content, normalised if it is looked for in normalised
  /// text.
  void add(const AddedToken& token, const std::string& spelling);
  std::vector<Part> split(std::string_view text) const;

 private:
  struct Pattern {
    std::string spelling;
    AddedToken token;
  };
  const Pattern* longest_at(std::string_view rest) const;

  std::array<std::vector<Pattern>, 256> by_first_byte_;  ///< each list from long to short
};

}  // namespace cornstarch::dataio
