#pragma once

#include <map>
#include <vector>

#include "cornstarch/base/checked.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/plan/token_layout.h"

namespace cornstarch::plan {

/// The places (frames or patches, later tokens) of an encoder's item behind each module of its spec, the
/// first being those of the medium itself, that context-parallel rank `cp` of `sp` holds. What is behind the
/// last module is dealt evenly, in rows of the grid where features are averaged; before a convolution a rank
/// also holds the neighbours that its kernel reaches: every rank computes its tokens from what it has.
std::vector<Range> held_places(const catalog::ModelSpec& encoder, const catalog::Extents& item, int sp,
                               int cp);

/// The media items of one microbatch as an encoder holds them: each dealt to the context-parallel ranks by
/// itself, a rank's parts one behind the other.
class ItemLayout {
 public:
  /// `encoder` must stay where it is.
  ItemLayout(const catalog::Modality& encoder, int sp, std::vector<catalog::Extents> items);

  const std::vector<catalog::Extents>& items() const { return items_; }
  int sp() const { return sp_; }
  const catalog::ModelSpec& encoder() const { return encoder_->spec; }

  /// What rank `cp` holds of an item behind a module; -1: of the medium.
  Range places(std::size_t item, int module, int cp) const;
  /// Of an item's feature rows, those that rank `cp` makes; and all of them.
  Range features(std::size_t item, int cp) const;
  std::int64_t features(std::size_t item) const;
  std::int64_t features() const;

  /// Whether the encoder takes items of one size only, which then lie as rows of a batch.
  bool one_size() const { return one_size_; }

  /// The shape of all that rank `cp` holds behind a module: [items, ...] of one size, else [1, ...] with
  /// the items' places one behind the other.
  catalog::Shape shape(int module, int cp) const;

  /// Of an item's tokens, those of rank `cp`; and how many there are.
  Range tokens(std::size_t item, int cp) const { return places(item, layers_, cp); }
  std::int64_t tokens(std::size_t item) const { return tokens(item, sp_).size(); }
  /// Where the tokens lie that the layers work on, an item being a row.
  TokenLayout token_layout() const;

 private:
  using Held = std::vector<std::vector<Range>>;  // [cp][module + 1]; with the whole item behind the last cp
  const Held& held(std::size_t item) const { return held_.at(items_[item]); }
  catalog::Extents place(std::size_t item, std::int64_t token) const;
  AttentionPattern pattern(std::int64_t window) const;
  TokenShares shares() const;
  PartPositions grid_positions() const;

  const catalog::Modality* encoder_;
  int sp_;
  bool one_size_;
  int layers_;  ///< the module that gives the first layer its tokens
  std::vector<catalog::Extents> items_;
  std::map<catalog::Extents, Held> held_;
};

}  // namespace cornstarch::plan
