#pragma once

#include <cstdint>
#include <string>

#include "build.h"
#include "family.h"

/// CLIP's vision half, and the families that are like it: patches with learnt positions, layers, a norm.
namespace cornstarch::catalog {

struct VisionTower {
  std::int64_t hidden, mlp, layers, heads, channels, image, patch;
  Activation activation;
  double eps;
  bool patch_bias = false;
  bool class_token = false;
  bool pre_norm = false;     ///< in front of the layers
  bool pooled_norm = false;  ///< the norm behind them feeds the pooled output only
  double patch_std = 0, class_std = 0, position_std = 0;
  BlockStd layer_std = {};
};

/// Where HF's config classes of these families differ.
struct VisionTowerDefaults {
  std::int64_t patch;
  const char* activation;
  double eps;
};

/// The sizes; what else there is and the deviations are the family's. Problems stay in the config; only
/// without any is the result of use.
VisionTower read_vision_tower(HfConfig& config, const VisionTowerDefaults& defaults);
void build_vision_tower(const VisionTower& tower, ModelSpec& spec);

}  // namespace cornstarch::catalog
