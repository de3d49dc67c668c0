#include <cmath>

#include "vision_tower.h"

namespace cornstarch::catalog {
namespace {

/// CLIPPreTrainedModel._init_weights.
void set_deviations(VisionTower& clip, double range, double factor) {
  const double width = 1.0 / std::sqrt(static_cast<double>(clip.hidden));
  const double depth = 1.0 / std::sqrt(2.0 * static_cast<double>(clip.layers));
  clip.class_std = width * factor;
  clip.patch_std = clip.position_std = range * factor;
  clip.layer_std = {.qkv = width * depth * factor,
                    .o = width * factor,
                    .up = factor / std::sqrt(2.0 * static_cast<double>(clip.hidden)),
                    .down = width * depth * factor};
}

void build(HfConfig& config, ModelSpec& spec) {
  VisionTower clip = read_vision_tower(config, {.patch = 32, .activation = "quick_gelu", .eps = 1e-5});
  clip.class_token = clip.pre_norm = clip.pooled_norm = true;
  const double range = config.non_negative("initializer_range", 0.02);
  set_deviations(clip, range, config.non_negative("initializer_factor", 1.0));
  // Of old configs, always 0 there.
  config.require_number("dropout", 0.0, "dropout is not supported: only 0");
  // Of the projection into CLIP's text space and of its text tower, which are no part of this.
  config.ignore({"projection_dim", "vocab_size"});
  if (config.problems().empty()) build_vision_tower(clip, spec);
}

}  // namespace

const Family& clip_family() {
  static const Family family{
      .info = {"clip_vision_model", ModelKind::vision, "CLIP's vision transformer (CLIPVisionModel)"},
      .section = "vision_config",
      .model_types = {"clip_vision_model", "clip"},
      .architecture = "CLIPVisionModel",
      .architectures = {"CLIPModel", "CLIPVisionModelWithProjection"},
      .build = build,
      .cut_prefix = "vision_model.",
      .weight_prefixes = {"vision_model.", ""},
      .adapter_prefixes = {"", "vision_model."},
      .ignored_weights = {"text_model.*", "text_projection.weight", "visual_projection.weight", "logit_scale",
                          "*embeddings.position_ids"},
      .telltales = {{"*head.attention.in_proj_weight", "a head that pools by attention is SigLIP's"},
                    kScaledLayers},
  };
  return family;
}

}  // namespace cornstarch::catalog
