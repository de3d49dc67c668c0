#pragma once

#include <cstdint>
#include <string>

#include "build.h"
#include "family.h"

/// CLIP's vision half, and the families that are like it: patches with learnt positions, layers, a norm.
namespace cornstarch::catalog {

/// What a family calls the parts; CLIP's by default.
struct VisionTowerNames {
  std::string embeddings = "vision_model.embeddings", layers = "vision_model.encoder.layers",
              last_norm = "vision_model.post_layernorm";
  // Within the embeddings:
  std::string class_token = ".class_embedding", convolution = ".patch_embedding",
              positions = ".position_embedding.weight";
  // Within a layer:
  std::string norm1 = ".layer_norm1", norm2 = ".layer_norm2";
  std::string q = ".self_attn.q_proj", k = ".self_attn.k_proj", v = ".self_attn.v_proj",
              o = ".self_attn.out_proj";
  std::string up = ".mlp.fc1", down = ".mlp.fc2";
  std::string scale1 = {}, scale2 = {};  ///< or "": without layer scale
};

struct VisionTower {
  std::int64_t hidden, mlp, layers, heads, channels, image, patch;
  Activation activation;
  double eps;
  VisionTowerNames names = {};
  bool patch_bias = false;
  bool class_token = false;
  bool batch_dims = false;  ///< the class token is [1, 1, hidden], positions are [1, n, hidden]
  bool qkv_bias = true;
  bool gated = false;        ///< the gate's rows and the product's beside it are stacked as `up`
  bool pre_norm = false;     ///< in front of the layers
  bool pooled_norm = false;  ///< the norm behind them feeds the pooled output only
  double patch_std = 0, class_std = 0, position_std = 0, scale = 1;
  BlockStd layer_std = {};
};

/// Where HF's config classes of these families differ.
struct VisionTowerDefaults {
  std::int64_t patch;
  const char* activation;
  double eps;
  std::int64_t mlp = 3072;  ///< or 0: the family reads another key
  std::vector<const char*> dropouts = {"attention_dropout"};
};

/// Of weights in a folder of a family whose layers have none.
inline const Telltale kScaledLayers{"*lambda*", "a scale for each layer's output is DINOv2's or InternViT's"};

/// The sizes; what else there is and the deviations are the family's. Problems stay in the config; only
/// without any is the result of use.
VisionTower read_vision_tower(HfConfig& config, const VisionTowerDefaults& defaults);
void build_vision_tower(const VisionTower& tower, ModelSpec& spec);

}  // namespace cornstarch::catalog
