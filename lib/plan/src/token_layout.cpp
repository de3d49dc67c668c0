#include "cornstarch/plan/token_layout.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace cornstarch::plan {
namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

TokenLayout TokenLayout::plain(std::int64_t rows, std::int64_t row_length,
                               const std::vector<std::int64_t>& lengths) {
  std::vector<Range> ranges;
  for (std::int64_t r = 0; r < rows; ++r)
    ranges.push_back({r * row_length, r * row_length + (lengths.empty() ? row_length : lengths[at(r)])});
  TokenShares all(1, std::vector<std::int64_t>(at(rows * row_length)));
  std::iota(all[0].begin(), all[0].end(), std::int64_t{0});
  return {std::move(ranges), row_length, {}, std::move(all)};
}

TokenLayout::TokenLayout(std::vector<Range> rows, std::int64_t length, Patterns patterns, TokenShares shares,
                         PartPositions parts)
    : rows_(std::move(rows)),
      length_(length),
      patterns_(std::move(patterns)),
      shares_(std::move(shares)),
      parts_(std::move(parts)) {}

TokenPlace TokenLayout::place(std::int64_t token) const {
  const auto behind = std::upper_bound(rows_.begin(), rows_.end(), token,
                                       [](std::int64_t t, const Range& row) { return t < row.begin; });
  return {behind - rows_.begin() - 1, token - std::prev(behind)->begin};
}

const AttentionPattern& TokenLayout::pattern(std::int64_t window) const {
  const auto found = patterns_.find(window);
  return (found == patterns_.end() ? patterns_.begin() : found)->second;
}

bool TokenLayout::holds_padding() const {
  std::int64_t more = 0;
  for (const auto& share : shares_) more += std::ssize(share);
  for (const Range& row : rows_) more -= row.size();
  return more > 0;
}

std::vector<int> TokenLayout::holders() const {
  std::vector<int> out(is_plain() ? shares_[0].size() : at(pattern().size()), 0);
  for (std::size_t rank = 0; rank < shares_.size(); ++rank)
    for (const std::int64_t token : shares_[rank]) out[at(token)] = static_cast<int>(rank);
  return out;
}

std::vector<std::vector<std::int64_t>> TokenLayout::positions(int cp) const {
  std::vector<std::vector<std::int64_t>> out;
  for (const auto& part : parts_)
    if (!part.empty())
      for (auto& own = out.emplace_back(); const std::int64_t token : held(cp))
        own.push_back(part[at(token)]);
  if (!out.empty()) return out;
  for (auto& own = out.emplace_back(); const std::int64_t token : held(cp)) own.push_back(place(token).place);
  return out;
}

}  // namespace cornstarch::plan
