#pragma once

#include "cornstarch/base/checked.h"
#include "cornstarch/catalog/resolve.h"

/// What context-parallel rank `cp` of `sp` holds of each media item of an encoder. What the last module gives
/// of an item is dealt evenly, in rows of the grid where features are averaged; before a convolution a rank
/// also holds the neighbours that its kernel reaches, so that every rank computes its tokens from what it
/// has.
namespace cornstarch::plan {

/// The places (frames, from the embeddings on tokens) of an item behind module `module` of the spec; -1: as
/// media.
Range item_places(const catalog::ModelSpec& spec, int module, int sp, int cp);

/// The feature rows of an item: of its tokens, those that feature_select leaves.
Range item_features(const catalog::Modality& modality, int sp, int cp);

}  // namespace cornstarch::plan
