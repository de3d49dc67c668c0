#include "cornstarch/dataio/packing.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <set>
#include <utility>

#include "cornstarch/base/random.h"
#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

constexpr std::int64_t kRows = 64;      ///< of a window, at least
constexpr std::size_t kMeasured = 256;  ///< samples at once

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

/// What cannot be read counts as a token, too: a window of such samples shall end.
std::int64_t tokens_of(const Load& load, std::int64_t row_length) {
  return std::clamp<std::int64_t>(load.tokens, 1, row_length);
}

struct Row {
  Packed::Row samples;
  std::int64_t room = 0;
  double cost = 0;
};

void sort_by_cost(auto& rows) {
  std::ranges::stable_sort(rows, std::greater(), [](const auto& row) { return row.cost; });
}

/// Fills the rows of one window.
class Filling {
 public:
  Filling(std::span<const Load> loads, const PackedShape& shape) : loads_(loads), shape_(shape) {
    largest_.resize(loads.size());
    std::iota(largest_.begin(), largest_.end(), std::int64_t{0});
    std::ranges::stable_sort(largest_, std::greater(),
                             [this](std::int64_t sample) { return std::pair(tokens(sample), cost(sample)); });
  }

  /// The first `count` samples in rows; nothing if they do not fit.
  std::optional<std::vector<Row>> operator()(std::int64_t count) const {
    std::vector<Row> rows(index(shape_.rows()), {{}, shape_.row_length, 0});
    std::set<std::pair<double, std::size_t>> cheapest;
    for (std::size_t row = 0; row < rows.size(); ++row) cheapest.emplace(0, row);
    for (const std::int64_t sample : largest_) {
      if (sample >= count) continue;
      const auto found = std::ranges::find_if(
          cheapest, [&](const auto& each) { return rows[each.second].room >= tokens(sample); });
      if (found == cheapest.end()) return std::nullopt;
      const std::size_t taker = found->second;
      Row& row = rows[taker];
      row.samples.push_back(sample);
      row.room -= tokens(sample);
      row.cost += cost(sample);
      cheapest.erase(found);
      cheapest.emplace(row.cost, taker);
    }
    return rows;
  }

 private:
  std::int64_t tokens(std::int64_t sample) const {
    return tokens_of(loads_[index(sample)], shape_.row_length);
  }
  double cost(std::int64_t sample) const { return loads_[index(sample)].cost; }

  std::span<const Load> loads_;
  const PackedShape& shape_;
  std::vector<std::int64_t> largest_;  ///< all samples, the longest first
};

/// Rows in an order of which the halves, the quarters and so on (where they are three times as many, the last
/// of these by three rows) cost about the same: dear ones and cheap ones join, time and again, until one is
/// left.
std::vector<Packed::Row> even_order(std::span<Row> rows) {
  struct Unit {
    std::vector<Packed::Row> rows;
    double cost = 0;
  };
  std::vector<Unit> units;
  for (Row& row : rows) {
    std::ranges::sort(row.samples);
    units.push_back({{std::move(row.samples)}, row.cost});
  }
  while (units.size() > 1) {
    std::size_t each = units.size();  // its largest prime: replicas are mostly a power of two
    for (std::size_t factor = 2; factor < each; ++factor)
      while (each > factor && each % factor == 0) each /= factor;
    sort_by_cost(units);
    std::vector<Unit> joined(units.size() / each);
    for (std::size_t i = 0; i < units.size(); ++i) {
      const std::size_t round = i / joined.size(), place = i % joined.size();
      Unit& into = joined[round % 2 == 0 ? place : joined.size() - 1 - place];
      into.cost += units[i].cost;
      std::ranges::move(units[i].rows, std::back_inserter(into.rows));
    }
    units = std::move(joined);
  }
  return std::move(units.front().rows);
}

std::int64_t fingerprint_of(const Packed& packed, const std::vector<std::int64_t>& samples) {
  std::uint64_t out = 0xcbf29ce484222325;  // FNV-1a
  const auto add = [&](std::int64_t n) { out = (out ^ static_cast<std::uint64_t>(n)) * 0x100000001b3; };
  for (const auto& step : packed.steps)
    for (const Packed::Row& row : step) {
      add(-1);
      for (const std::int64_t sample : row) add(samples[index(sample)]);
    }
  return static_cast<std::int64_t>(out >> 1);
}

}  // namespace

std::int64_t PackedShape::steps() const {
  return std::max<std::int64_t>(1, (kRows + rows_per_step - 1) / rows_per_step);
}

Packed pack(std::span<const Load> loads, const PackedShape& shape) {
  const Filling fill(loads, shape);
  Packed out;
  std::vector<Row> rows(index(shape.rows()));
  std::int64_t too_many = std::ssize(loads) + 1;
  for (std::int64_t count = too_many - 1; out.taken + 1 < too_many;
       count = out.taken + (too_many - out.taken) / 2) {
    if (auto filled = fill(count)) {
      rows = std::move(*filled);
      out.taken = count;
    } else {
      too_many = count;
    }
  }
  sort_by_cost(rows);
  for (std::int64_t step = 0; step < shape.steps(); ++step)
    out.steps.push_back(
        even_order(std::span(rows).subspan(index(step * shape.rows_per_step), index(shape.rows_per_step))));
  return out;
}

Packer::Packer(Sampler sampler, PackedShape shape, std::uint64_t seed, Measure measure)
    : sampler_(std::move(sampler)), shape_(shape), seed_(seed), measure_(std::move(measure)) {
  if (shape_.row_length < 1 || shape_.rows_per_step < 1)
    throw Failure(ExitCode::internal,
                  cat("a packer of ", shape_.rows_per_step, " rows of ", shape_.row_length, " tokens"));
}

Packer::Window Packer::make(std::int64_t first) const {
  Window out;
  out.first = first;
  std::vector<Load> loads;
  // One more than may fit, by their tokens alone.
  for (std::int64_t tokens = 0; tokens <= shape_.rows() * shape_.row_length;) {
    const auto next = sampler_.samples(first + std::ssize(loads), kMeasured);
    for (const Load& load : measure_(next)) {
      tokens += tokens_of(load, shape_.row_length);
      loads.push_back(load);
    }
    out.samples.insert(out.samples.end(), next.begin(), next.end());
  }
  out.packed = pack(loads, shape_);
  const auto order =
      permutation(shape_.steps(), Philox(seed_, "packed steps").key(), static_cast<std::uint64_t>(first));
  std::vector<std::vector<Packed::Row>> steps;
  for (const std::int64_t step : order) steps.push_back(std::move(out.packed.steps[index(step)]));
  out.packed.steps = std::move(steps);
  out.fingerprint = fingerprint_of(out.packed, out.samples);
  return out;
}

GlobalBatch Packer::at(const Position& position) {
  const std::lock_guard lock(mutex_);
  if (!window_ || window_->first != position.samples) window_ = make(position.samples);
  GlobalBatch out;
  out.window = window_->fingerprint;
  if (position.steps >= shape_.steps()) return out;
  for (const Packed::Row& row : window_->packed.steps.at(index(position.steps))) {
    out.rows.push_back(std::ssize(out.samples));
    if (row.empty()) out.samples.push_back(-1);
    for (const std::int64_t sample : row) out.samples.push_back(window_->samples[index(sample)]);
  }
  out.after = {position.samples, position.steps + 1};
  if (out.after.steps == shape_.steps()) out.after = {position.samples + window_->packed.taken, 0};
  return out;
}

}  // namespace cornstarch::dataio
