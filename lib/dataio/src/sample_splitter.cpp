#include "sample_splitter.h"

#include <algorithm>
#include <utility>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

constexpr std::string_view kBlank = " \t\r\n";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// Behind the string that begins at `at`; the size of the text if it does not end in it.
std::size_t skip_string(std::string_view text, std::size_t at) {
  while ((at = text.find('"', at + 1)) != std::string_view::npos) {
    std::size_t slashes = 0;
    while (text[at - 1 - slashes] == '\\') ++slashes;
    if (slashes % 2 == 0) return at + 1;
  }
  return text.size();
}

/// The ',' or ']' that follows the element at `at`; the size of the text if there is none.
std::size_t skip_element(std::string_view text, std::size_t at) {
  std::int64_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (depth == 0 && (c == ',' || c == ']')) return at;
    if (c == '"') {
      at = skip_string(text, at);
      continue;
    }
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    ++at;
  }
  return text.size();
}

}  // namespace

Result<std::size_t> SampleSplitter::split(std::string_view text, bool last,
                                          std::vector<SamplePlace>& places) {
  std::size_t at = 0;
  if (where_ == Where::at_start) at = begin(text, last);
  if (where_ == Where::at_start) return at;
  return where_ == Where::in_lines ? split_lines(text, at, last, places) : split_list(text, at, last, places);
}

/// Tells lines from a list by the first letter, and goes there.
std::size_t SampleSplitter::begin(std::string_view text, bool last) {
  if (text.size() < kByteOrderMark.size() && !last) return 0;
  const bool marked = !std::exchange(begun_, true) && text.starts_with(kByteOrderMark);
  const std::size_t start = marked ? kByteOrderMark.size() : 0;
  const std::size_t first = text.find_first_not_of(kBlank, start);
  count_lines(text.substr(0, first));
  if (first == std::string_view::npos) return text.size();
  where_ = text[first] == '[' ? Where::before_first : Where::in_lines;
  return where_ == Where::before_first ? first + 1 : first;
}

std::size_t SampleSplitter::split_lines(std::string_view text, std::size_t at, bool last,
                                        std::vector<SamplePlace>& places) {
  while (at < text.size()) {
    const std::size_t newline = text.find('\n', at);
    if (newline == std::string_view::npos && !last) return at;
    const std::size_t end = std::min(newline, text.size());
    const std::string_view content = trim(text.substr(at, end - at));
    if (!content.empty())
      places.push_back({static_cast<std::size_t>(content.data() - text.data()), content.size(), line_});
    ++line_;
    at = end + 1;
  }
  return text.size();
}

Result<std::size_t> SampleSplitter::split_list(std::string_view text, std::size_t at, bool last,
                                               std::vector<SamplePlace>& places) {
  while (true) {
    const std::size_t next = std::min(text.find_first_not_of(kBlank, at), text.size());
    count_lines(text.substr(at, next - at));
    at = next;
    if (at == text.size()) {
      if (last && where_ != Where::behind) return problem("the list does not end");
      return at;
    }
    const char c = text[at];
    if (where_ == Where::behind) return problem("text after the end of the list");
    if (c == ']' && where_ != Where::before_element) {
      where_ = Where::behind;
      ++at;
    } else if (where_ == Where::after_element) {  // c is ',' there
      where_ = Where::before_element;
      ++at;
    } else {
      std::size_t end = skip_element(text, at);
      if (end == at) return problem("a sample is missing in the list");
      if (end == text.size() && !last) return at;
      if (end == text.size()) return problem("the list does not end");
      const std::string_view element = text.substr(at, text.find_last_not_of(kBlank, end - 1) + 1 - at);
      places.push_back({at, element.size(), line_});
      count_lines(text.substr(at, end - at));
      at = end;
      where_ = Where::after_element;
    }
  }
}

void SampleSplitter::count_lines(std::string_view text) {
  line_ += std::count(text.begin(), text.end(), '\n');
}

tl::unexpected<Error> SampleSplitter::problem(const char* what) const {
  return fail(ExitCode::bad_data, cat(line_, ": ", what));
}

}  // namespace cornstarch::dataio
