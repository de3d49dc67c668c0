#include <cmath>

#include "build.h"
#include "cornstarch/base/text.h"
#include "family.h"

namespace cornstarch::catalog {
namespace {

struct Clip {
  std::int64_t hidden, mlp, layers, heads, channels, image, patch;
  Activation activation;
  double eps, range, factor;

  std::int64_t patches() const { return (image / patch) * (image / patch); }
  NormSpec norm(const std::string& prefix) const { return {NormKind::layer_norm, eps, hidden, prefix}; }
};

Clip read(HfConfig& config) {
  Clip clip{};
  clip.hidden = config.size("hidden_size", 768);
  clip.mlp = config.size("intermediate_size", 3072);
  clip.layers = config.size("num_hidden_layers", 12, {}, HfConfig::kMaxLayers);
  clip.heads = config.size("num_attention_heads", 12);
  clip.channels = config.size("num_channels", 3);
  clip.image = config.size("image_size", 224);
  clip.patch = config.size("patch_size", 32);
  clip.activation = config.activation("hidden_act", "quick_gelu");
  clip.eps = config.positive("layer_norm_eps", 1e-5);
  clip.range = config.non_negative("initializer_range", 0.02);
  clip.factor = config.non_negative("initializer_factor", 1.0);
  config.require_number("attention_dropout", 0.0, "dropout is not supported: only 0");
  config.require_number("dropout", 0.0,
                        "dropout is not supported: only 0");  // of old configs, always 0 there
  // Of the projection into CLIP's text space and of its text tower, which are no part of this.
  config.ignore({"projection_dim", "vocab_size"});
  if (clip.hidden % clip.heads != 0) {
    config.problem("num_attention_heads",
                   cat("does not divide hidden_size: ", clip.heads, " and ", clip.hidden));
  }
  if (clip.patch > clip.image) {
    config.problem("patch_size", cat("is larger than image_size: ", clip.patch, " and ", clip.image));
  }
  return clip;
}

ModuleSpec embeddings(const Clip& clip) {
  const std::string name = "vision_model.embeddings";
  ModuleSpec module{.name = name,
                    .body = PatchEmbedding{clip.channels, clip.image, clip.patch, clip.hidden, name}};
  const double class_std = clip.factor / std::sqrt(static_cast<double>(clip.hidden));
  const double std = clip.range * clip.factor;
  const auto add = [&](const std::string& param, Shape shape, double deviation) {
    module.params.push_back(
        {.name = name + param, .shape = std::move(shape), .init = Init::normal, .init_std = deviation});
  };
  add(".class_embedding", {clip.hidden}, class_std);
  add(".patch_embedding.weight", {clip.hidden, clip.channels, clip.patch, clip.patch}, std);
  add(".position_embedding.weight", {clip.patches() + 1, clip.hidden}, std);
  module.flops_per_token = 2.0 * static_cast<double>(clip.channels) * static_cast<double>(clip.patch) *
                           static_cast<double>(clip.patch) * static_cast<double>(clip.hidden);
  return module;
}

ModuleSpec layer(const Clip& clip, std::int64_t index) {
  const std::string name = cat("vision_model.encoder.layers.", index);
  const auto linear = [&](const std::string& part, std::int64_t in, std::int64_t out) {
    return LinearSpec{name + part, in, out, true};
  };
  BlockSpec block;
  block.norm1 = clip.norm(name + ".layer_norm1");
  block.norm2 = clip.norm(name + ".layer_norm2");
  block.heads = block.kv_heads = clip.heads;
  block.head_dim = clip.hidden / clip.heads;
  block.q = linear(".self_attn.q_proj", clip.hidden, clip.hidden);
  block.k = linear(".self_attn.k_proj", clip.hidden, clip.hidden);
  block.v = linear(".self_attn.v_proj", clip.hidden, clip.hidden);
  block.o = linear(".self_attn.out_proj", clip.hidden, clip.hidden);
  block.activation = clip.activation;
  block.up = linear(".mlp.fc1", clip.hidden, clip.mlp);
  block.down = linear(".mlp.fc2", clip.mlp, clip.hidden);
  // CLIPPreTrainedModel._init_weights
  const double width = 1.0 / std::sqrt(static_cast<double>(clip.hidden));
  const double depth = 1.0 / std::sqrt(2.0 * static_cast<double>(clip.layers));
  const BlockStd std{.qkv = width * depth * clip.factor,
                     .o = width * clip.factor,
                     .up = clip.factor / std::sqrt(2.0 * static_cast<double>(clip.hidden)),
                     .down = width * depth * clip.factor};
  return block_module(name, block, std);
}

void build(HfConfig& config, ModelSpec& spec) {
  const Clip clip = read(config);
  if (!config.problems().empty()) return;
  spec.modules.push_back(embeddings(clip));
  spec.modules.push_back(
      norm_module("vision_model.pre_layrnorm", clip.norm("vision_model.pre_layrnorm")));  // HF's own spelling
  for (std::int64_t i = 0; i < clip.layers; ++i) spec.modules.push_back(layer(clip, i));
  spec.modules.push_back(
      norm_module("vision_model.post_layernorm", clip.norm("vision_model.post_layernorm"), true));
  spec.hidden_size = clip.hidden;
  spec.num_layers = clip.layers;
  spec.heads = spec.kv_heads = clip.heads;
  spec.item_shape = {clip.channels, clip.image, clip.image};
  spec.tokens_per_item = clip.patches() + 1;
  spec.leading_tokens = 1;
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
      .ignored_weights = {"text_model.*", "text_projection.weight", "visual_projection.weight", "logit_scale",
                          "*embeddings.position_ids"},
      .telltales = {{"*head.attention.in_proj_weight", "a head that pools by attention is SigLIP's"},
                    {"*lambda*", "a scale for each layer's output is DINOv2's or InternViT's"}},
  };
  return family;
}

}  // namespace cornstarch::catalog
