#pragma once

#include <string>
#include <vector>

/// Names and numbers as a person writes them.
namespace cornstarch::plan {

/// {a.0, a.1, a.2, b} -> {"a.0..2", "b"}: the spelling that a stage list takes.
std::vector<std::string> compress_modules(const std::vector<std::string>& names);

/// "812", "1.50M": a number of parameters.
std::string human_count(double value);

/// `items` separated by ", ", in lines of at most `width` columns, each behind `indent` spaces.
std::string wrap(const std::vector<std::string>& items, std::size_t indent, std::size_t width);

}  // namespace cornstarch::plan
