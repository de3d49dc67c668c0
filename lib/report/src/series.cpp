#include "series.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace cornstarch::report {

std::size_t rows_per_point(std::size_t rows, std::size_t points) {
  return std::max<std::size_t>((rows + points - 1) / points, 1);
}

Points points_of(const std::vector<double>& column, std::size_t per) {
  Points out;
  for (std::size_t begin = 0; begin < column.size(); begin += per) {
    double sum = 0, low = kNone, high = kNone;
    int count = 0;
    for (std::size_t i = begin; i < std::min(begin + per, column.size()); ++i) {
      if (std::isnan(column[i])) continue;
      sum += column[i];
      low = std::fmin(low, column[i]);
      high = std::fmax(high, column[i]);
      ++count;
    }
    out.mean.push_back(count > 0 ? sum / count : kNone);
    out.low.push_back(low);
    out.high.push_back(high);
  }
  return out;
}

double rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.7g", value);
  return std::strtod(text, nullptr);
}

}  // namespace cornstarch::report
