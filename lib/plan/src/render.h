#pragma once

#include <string>
#include <vector>

#include "cornstarch/catalog/model_spec.h"

/// What the renderers of a plan share.
namespace cornstarch::plan {

/// {a.0, a.1, a.2, b} -> {"a.0..2", "b"}: the spelling that a stage list takes.
std::vector<std::string> compress_modules(const std::vector<std::string>& names);

/// {0, 1, 2, 5} -> "0-2,5".
std::string compress_ranks(const std::vector<int>& ranks);

/// "812", "1.50M": a number of parameters.
std::string human_count(double value);

/// Elements of `param` on the rank of a tensor-parallel group of `tp` that has most.
std::int64_t params_on_rank(const catalog::ParamSpec& param, int tp);

/// `items` separated by ", ", in lines of at most `width` columns, each behind `indent` spaces.
std::string wrap(const std::vector<std::string>& items, std::size_t indent, std::size_t width);

/// Columns as wide as their widest cell, two spaces apart; the columns named in `right` are aligned right.
std::vector<std::string> align_columns(const std::vector<std::vector<std::string>>& rows,
                                       const std::vector<std::size_t>& right);

}  // namespace cornstarch::plan
