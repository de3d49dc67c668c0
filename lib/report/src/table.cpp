#include <algorithm>
#include <cmath>

#include "cornstarch/report/run.h"

namespace cornstarch::report {

void Table::begin_row(std::int64_t step) {
  const auto kept = std::ranges::lower_bound(steps_, step) - steps_.begin();
  rewound_ += std::ssize(steps_) - kept;
  steps_.resize(static_cast<std::size_t>(kept));
  steps_.push_back(step);
  for (Column& column : columns_) {
    column.values.resize(static_cast<std::size_t>(kept));
    column.values.push_back(kNone);
  }
}

void Table::set(const std::string& key, double value) {
  auto column = std::ranges::find(columns_, key, &Column::key);
  if (column == columns_.end())
    column = columns_.insert(columns_.end(), {key, std::vector<double>(steps_.size(), kNone)});
  column->values.back() = std::isfinite(value) ? value : kNone;
}

const std::vector<double>* Table::find(const std::string& key) const {
  const auto column = std::ranges::find(columns_, key, &Column::key);
  return column == columns_.end() ? nullptr : &column->values;
}

}  // namespace cornstarch::report
