#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cornstarch/catalog/extents.h"
#include "cornstarch/catalog/model_spec.h"

namespace cornstarch::dataio {

using catalog::kMediaKinds;
using catalog::MediaKind;

/// How the media of one encoder are found in a conversation and prepared.
struct MediaSource {
  std::string placeholder;  ///< "<image>"
  MediaKind kind = MediaKind::image;
  /// How many ids a placeholder expands to, by its item.
  std::function<std::int64_t(const catalog::Extents&)> features;
  std::vector<std::int64_t> item_shape;  ///< [3, H, W], [mels, frames], or a patch's [3, times, size, size]
  std::string preprocessor_json;  ///< text of preprocessor_config.json, or "" for the HF class's defaults
                                  ///< that fit item_shape
  std::optional<catalog::Extents> extents = catalog::Extents{};  ///< of every item; nothing: each its own
  std::int64_t patch_block = 1;  ///< patches come in squares of so many a side

  /// Ids that a placeholder expands to at least.
  std::int64_t least_features() const { return extents ? features(*extents) : 0; }
};

}  // namespace cornstarch::dataio
