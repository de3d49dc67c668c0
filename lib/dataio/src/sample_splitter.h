#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch::dataio {

/// Where the JSON of one sample stands in a text.
struct SamplePlace {
  std::size_t offset = 0;
  std::size_t length = 0;
  std::int64_t line = 0;  ///< from 1
};

/// Finds the samples of a file that comes piece by piece: the elements of an array if it begins with '[', its
/// lines that are not blank otherwise. What is inside a sample is not looked at.
///
///     while (more) { text.append(more); text.erase(0, *splitter.split(text, at_end, places)); }
class SampleSplitter {
 public:
  /// Adds the samples that lie whole in `text` to `places` and returns how many bytes are done with: the next
  /// call's text begins behind them. The error's message begins with the line: "12: ...".
  Result<std::size_t> split(std::string_view text, bool last, std::vector<SamplePlace>& places);
  /// That on which the text of the next call begins.
  std::int64_t line() const { return line_; }

 private:
  enum class Where { at_start, in_lines, before_first, before_element, after_element, behind };

  std::size_t begin(std::string_view text, bool last);
  std::size_t split_lines(std::string_view text, std::size_t at, bool last, std::vector<SamplePlace>& places);
  Result<std::size_t> split_list(std::string_view text, std::size_t at, bool last,
                                 std::vector<SamplePlace>& places);
  void count_lines(std::string_view text);
  tl::unexpected<Error> problem(const char* what) const;

  Where where_ = Where::at_start;
  bool begun_ = false;  ///< whether the file's first bytes were looked at
  std::int64_t line_ = 1;
};

}  // namespace cornstarch::dataio
