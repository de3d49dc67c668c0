#pragma once

#include <string>
#include <vector>

#include "cornstarch/catalog/model_spec.h"
#include "cornstarch/plan/names.h"

/// What the renderers of a plan share.
namespace cornstarch::plan {

/// {0, 1, 2, 5} -> "0-2,5".
std::string compress_ranks(const std::vector<int>& ranks);

/// A sentence in lines of at most `width` columns, broken between words; all but the first behind `indent`
/// spaces.
std::string wrap_words(const std::string& text, std::size_t indent, std::size_t width);

/// Columns as wide as their widest cell, two spaces apart; the columns named in `right` are aligned right.
std::vector<std::string> align_columns(const std::vector<std::vector<std::string>>& rows,
                                       const std::vector<std::size_t>& right);

}  // namespace cornstarch::plan
