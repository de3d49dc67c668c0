#pragma once

#include <map>
#include <vector>

#include "cornstarch/base/checked.h"
#include "cornstarch/plan/distribution.h"
#include "cornstarch/plan/rope_positions.h"

namespace cornstarch::plan {

/// Which row a token is in (a sample's text, a media item), and how many tokens precede it there.
struct TokenPlace {
  std::int64_t row = 0, place = 0;
  bool operator==(const TokenPlace&) const = default;
};

/// Where the tokens of one microbatch of one modality lie: in which rows, which sees which, which
/// context-parallel rank holds which, and where each stands. Tokens are numbered row by row, with the padding
/// between rows.
class TokenLayout {
 public:
  /// What layers that look through a window see; 0: that of all others.
  using Patterns = std::map<std::int64_t, AttentionPattern>;

  TokenLayout() = default;  ///< no rows

  /// Plain rows, whole and padded, on a rank that has no others beside it: what sees which is what layers do
  /// by themselves, and a token's position is its place. `lengths`: before padding, if this rank knows them.
  static TokenLayout plain(std::int64_t rows, std::int64_t row_length,
                           const std::vector<std::int64_t>& lengths = {});

  /// `rows`: their tokens before padding, ascending. `length`: more than any position. `parts`: positions of
  /// three parts, of every token; or empty, and they are places.
  TokenLayout(std::vector<Range> rows, std::int64_t length, Patterns patterns, TokenShares shares,
              PartPositions parts = {});

  /// Whether hidden states are whole rows of a batch, padding and all; else they are those of the tokens that
  /// a rank holds.
  bool is_plain() const { return patterns_.empty(); }
  const std::vector<Range>& rows() const { return rows_; }
  std::int64_t length() const { return length_; }
  TokenPlace place(std::int64_t token) const;

  /// Of rows that are not plain.
  const Patterns& patterns() const { return patterns_; }
  const AttentionPattern& pattern(std::int64_t window = 0) const;

  const TokenShares& shares() const { return shares_; }
  const std::vector<std::int64_t>& held(int cp) const { return shares_[static_cast<std::size_t>(cp)]; }
  std::int64_t count(int cp) const { return static_cast<std::int64_t>(held(cp).size()); }
  /// Whether some of what ranks hold is padding.
  bool holds_padding() const;
  /// The rank that holds each token; 0 for one that none does.
  std::vector<int> holders() const;

  /// Of the tokens of rank `cp`, in one part or in three.
  std::vector<std::vector<std::int64_t>> positions(int cp) const;

 private:
  std::vector<Range> rows_;
  std::int64_t length_ = 0;
  Patterns patterns_;  // none of plain rows
  TokenShares shares_;
  PartPositions parts_;
};

}  // namespace cornstarch::plan
