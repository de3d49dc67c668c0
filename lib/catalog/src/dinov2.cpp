#include "cornstarch/base/text.h"
#include "vision_tower.h"

namespace cornstarch::catalog {
namespace {

const VisionTowerNames kNames{.embeddings = "embeddings",
                              .layers = "encoder.layer",
                              .last_norm = "layernorm",
                              .class_token = ".cls_token",
                              .convolution = ".patch_embeddings.projection",
                              .positions = ".position_embeddings",
                              .norm1 = ".norm1",
                              .norm2 = ".norm2",
                              .q = ".attention.attention.query",
                              .k = ".attention.attention.key",
                              .v = ".attention.attention.value",
                              .o = ".attention.output.dense",
                              .scale1 = ".layer_scale1.lambda1",
                              .scale2 = ".layer_scale2.lambda1"};

void build(HfConfig& config, ModelSpec& spec) {
  VisionTower dino = read_vision_tower(
      config, {.patch = 14,
               .activation = "gelu",
               .eps = 1e-6,
               .mlp = 0,
               .dropouts = {"attention_probs_dropout_prob", "hidden_dropout_prob", "drop_path_rate"}});
  dino.names = kNames;
  dino.patch_bias = dino.class_token = dino.batch_dims = true;
  dino.qkv_bias = config.flag("qkv_bias", true);
  dino.scale = config.non_negative("layerscale_value", 1.0);
  dino.mlp = dino.hidden * config.size("mlp_ratio", 4, {}, 1024);
  dino.gated = config.flag("use_swiglu_ffn", false);
  if (dino.gated) {  // narrower, so that there are as many parameters: to whole eights
    dino.mlp = (dino.mlp * 2 / 3 + 7) / 8 * 8;
    dino.activation = Activation::silu;
    dino.names.up = ".mlp.weights_in";
    dino.names.down = ".mlp.weights_out";
  }
  const double std = config.non_negative("initializer_range", 0.02);
  dino.patch_std = dino.class_std = dino.position_std = std;
  dino.layer_std = {std, std, std, std};
  // Of masked pictures, and of a backbone's feature maps, which are no part of this.
  config.ignore({"use_mask_token", "apply_layernorm", "reshape_hidden_states", "out_features", "out_indices",
                 "stage_names"});
  if (!config.problems().empty()) return;
  build_vision_tower(dino, spec);
  // Positions are learnt for pictures of image_size: published folders cut smaller ones out.
  spec.preprocessor =
      cat(R"({"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": )", dino.image,
          R"(}, "crop_size": {"height": )", dino.image, R"(, "width": )", dino.image,
          R"(}, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]})");
}

}  // namespace

const Family& dinov2_family() {
  static const Family family{
      .info = {"dinov2", ModelKind::vision, "DINOv2's vision transformer (Dinov2Model)"},
      .section = "",
      .model_types = {"dinov2"},
      .architecture = "Dinov2Model",
      .architectures = {"Dinov2ForImageClassification", "Dinov2Backbone"},
      .build = build,
      .cut_prefix = "",
      .weight_prefixes = {"", "dinov2."},
      .ignored_weights = {"*embeddings.mask_token", "classifier.*"},
      .telltales = {{"*register_tokens", "registers are DINOv2's of another kind (dinov2_with_registers)"}},
      .complete = [](const ModelSpec&, Json& config) { config["use_mask_token"] = false; },
  };
  return family;
}

}  // namespace cornstarch::catalog
