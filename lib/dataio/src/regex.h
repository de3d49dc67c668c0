#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cornstarch/base/result.h"

namespace cornstarch::dataio {

/// A regular expression over UTF-8, as tokenizers write them (Oniguruma's syntax), matched by PCRE2 with
/// limits on its work. What the two read differently is rewritten (\s, \v) or refused by name when it is
/// compiled.
class Regex {
 public:
  static Result<Regex> compile(std::string_view pattern);
  /// A pattern that matches this text alone.
  static Result<Regex> literal(std::string_view text);

  /// First match at or after byte `from`: its begin and end. `text` must be UTF-8 (is_utf8).
  Result<std::optional<std::pair<std::size_t, std::size_t>>> search(std::string_view text,
                                                                    std::size_t from) const;

 private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  static Result<Regex> compile_translated(const std::string& pattern);
  std::shared_ptr<const Code> code_;
};

}  // namespace cornstarch::dataio
