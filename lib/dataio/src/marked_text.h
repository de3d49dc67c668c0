#pragma once

#include <string>
#include <string_view>

namespace cornstarch::dataio {

/// A text of which each byte is marked or not. What is done to the text on its way to tokens is done to the
/// marks, so that a token knows whether it holds something marked: that is how the answers in a conversation
/// are found again among the tokens of the whole.
struct MarkedText {
  std::string text;
  std::string marks;  ///< 0 or 1 for each byte

  void append(std::string_view more, bool mark) {
    text += more;
    marks.append(more.size(), mark ? 1 : 0);
  }
  void append(const MarkedText& other, std::size_t begin, std::size_t end) {
    text.append(other.text, begin, end - begin);
    marks.append(other.marks, begin, end - begin);
  }
  /// In front, marked as what follows is.
  void prepend(std::string_view more) {
    marks.insert(0, more.size(), marks.empty() ? char{0} : marks.front());
    text.insert(0, more);
  }
  MarkedText slice(std::size_t begin, std::size_t end) const {
    return {text.substr(begin, end - begin), marks.substr(begin, end - begin)};
  }
  /// Whether anything (in [begin, end)) is marked.
  bool any() const { return any(0, text.size()); }
  bool any(std::size_t begin, std::size_t end) const {
    const std::string_view part = std::string_view(marks).substr(begin, end < begin ? 0 : end - begin);
    return part.find(char{1}) != std::string_view::npos;
  }
};

}  // namespace cornstarch::dataio
