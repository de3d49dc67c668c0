#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cornstarch::templates {

struct Token {
  enum class Kind {
    data,
    open_output,
    close_output,
    open_tag,
    close_tag,
    name,
    text,
    whole,
    decimal,
    sign,
    end
  };
  Kind kind = Kind::end;
  std::size_t at = 0;  ///< byte of the source
  std::string text;    ///< of a text its value, of others how they are spelled
  std::int64_t whole = 0;
  double decimal = 0;

  bool is(Kind k, std::string_view t) const { return kind == k && text == t; }
};

/// As Jinja reads a template's lines: one kind of line end, and none after the last.
std::string normalize_lines(std::string_view source);

/// The tokens of a template under `trim_blocks` and `lstrip_blocks`, as Hugging Face sets them. Throws
/// Refused.
std::vector<Token> tokenize(std::string_view source);

}  // namespace cornstarch::templates
