#pragma once

#include <vector>

#include "cornstarch/report/run.h"

namespace cornstarch::report {

/// A column with its neighbours taken together, `per` rows each (the last ones may be fewer).
struct Points {
  std::vector<double> mean, low, high;  ///< of what is there; kNone where nothing is
};

/// Rows that are taken together so that at most `points` are left.
std::size_t rows_per_point(std::size_t rows, std::size_t points);
Points points_of(const std::vector<double>& column, std::size_t per);

/// To seven significant digits, as the page has all numbers.
double rounded(double value);

}  // namespace cornstarch::report
