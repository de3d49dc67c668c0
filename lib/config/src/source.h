#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cornstarch/config/load.h"

namespace cornstarch::config {

/// A text that a user wrote, split into lines.
class SourceText {
 public:
  SourceText(std::string name, std::string_view text, int first_line = 1);

  const std::string& name() const { return name_; }
  /// Line `number`, without its end; empty if there is none.
  const std::string& line(int number) const;
  int last_line() const { return first_line_ + static_cast<int>(lines_.size()) - 1; }

 private:
  std::string name_;
  int first_line_;
  std::vector<std::string> lines_;
};

/// For a report: columns count characters there.
SourceSpan span_of(const Place& place);

/// The place of the text as a whole.
inline Place whole(std::shared_ptr<const SourceText> source) { return {std::move(source), 0, 0, 1}; }

/// Whether `text` is UTF-8 without NUL bytes.
bool is_text(std::string_view text);

}  // namespace cornstarch::config
