#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "node.h"

/// What a scalar means, more strictly than YAML 1.1 has it: decimal numbers, true and false, nothing else.
namespace cornstarch::config {

struct Integer {
  bool negative = false;
  std::uint64_t magnitude = 0;
};

/// -?digits, without leading zeros, in 64 bits.
std::optional<Integer> parse_integer(std::string_view text);
/// A decimal number that is finite.
std::optional<double> parse_number(std::string_view text);
std::optional<bool> parse_bool(std::string_view text);

/// What a plain scalar is that one YAML reader takes for a number, a boolean or nothing and another for text,
/// or that is written in a way that we refuse: how to write it instead ("write 8", "write true"); "" if it is
/// clear.
std::string clearer_spelling(std::string_view text);

/// Whether a plain scalar reads as a number or a boolean, so that text which looks like it needs quotes.
bool reads_as_value(std::string_view text);

/// The shortest text that reads back as `value`, with a point, as YAML 1.1 readers want it.
std::string format_number(double value);

}  // namespace cornstarch::config
