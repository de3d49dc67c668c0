#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cornstarch::dataio {

/// Tokens by text and by id, in flat tables: a vocabulary of 256,000 is a handful of allocations.
class Vocabulary {
 public:
  /// A text that is there already gets the new id; an id that is there already, the new text.
  void add(std::string_view token, std::int32_t id);
  /// -1 if there is no such token.
  std::int32_t find(std::string_view token) const;
  /// Empty where there is no such token.
  std::string_view text(std::int64_t id) const;
  /// The highest id + 1.
  std::int64_t size() const { return std::ssize(by_id_); }

 private:
  struct Letters {
    std::uint32_t begin = 0, length = 0;
  };
  struct Slot {
    std::uint32_t hash = 0;
    std::int32_t id = -1;  ///< -1: free
    Letters letters;
  };
  std::string_view text_of(Letters letters) const {
    return std::string_view(letters_).substr(letters.begin, letters.length);
  }
  /// The slot that holds the token, or the free one where it belongs.
  std::size_t slot_of(std::string_view token, std::uint32_t hash) const;
  void grow();

  std::string letters_;
  std::vector<Slot> slots_;  ///< a power of two, at most half are taken
  std::size_t taken_ = 0;
  std::vector<Letters> by_id_;
};

}  // namespace cornstarch::dataio
