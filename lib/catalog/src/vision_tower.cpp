#include "vision_tower.h"

#include "cornstarch/base/text.h"

namespace cornstarch::catalog {
namespace {

NormSpec norm_of(const VisionTower& tower, const std::string& prefix) {
  return {NormKind::layer_norm, tower.eps, tower.hidden, prefix};
}

ModuleSpec embeddings(const VisionTower& tower) {
  const std::string name = "vision_model.embeddings";
  const PatchEmbedding patches{.channels = tower.channels,
                               .image_size = tower.image,
                               .patch_size = tower.patch,
                               .hidden = tower.hidden,
                               .bias = tower.patch_bias,
                               .class_token = tower.class_token,
                               .prefix = name};
  ModuleSpec module{.name = name, .body = patches};
  const auto add = [&](const std::string& param, Shape shape, double deviation) {
    module.params.push_back(
        {.name = name + param, .shape = std::move(shape), .init = Init::normal, .init_std = deviation});
  };
  if (patches.class_token) add(".class_embedding", {tower.hidden}, tower.class_std);
  add(".patch_embedding.weight", {tower.hidden, tower.channels, tower.patch, tower.patch}, tower.patch_std);
  if (patches.bias)
    module.params.push_back({.name = name + ".patch_embedding.bias", .shape = {tower.hidden}});
  add(".position_embedding.weight", {patches.leading() + patches.patches(), tower.hidden},
      tower.position_std);
  return module;
}

ModuleSpec layer(const VisionTower& tower, std::int64_t index) {
  const std::string name = cat("vision_model.encoder.layers.", index);
  const auto linear = [&](const std::string& part, std::int64_t in, std::int64_t out) {
    return LinearSpec{name + part, in, out, true};
  };
  BlockSpec block;
  block.norm1 = norm_of(tower, name + ".layer_norm1");
  block.norm2 = norm_of(tower, name + ".layer_norm2");
  block.attention.heads = block.attention.kv_heads = tower.heads;
  block.attention.head_dim = tower.hidden / tower.heads;
  block.attention.q = linear(".self_attn.q_proj", tower.hidden, tower.hidden);
  block.attention.k = linear(".self_attn.k_proj", tower.hidden, tower.hidden);
  block.attention.v = linear(".self_attn.v_proj", tower.hidden, tower.hidden);
  block.attention.o = linear(".self_attn.out_proj", tower.hidden, tower.hidden);
  block.feed_forward.activation = tower.activation;
  block.feed_forward.up = linear(".mlp.fc1", tower.hidden, tower.mlp);
  block.feed_forward.down = linear(".mlp.fc2", tower.mlp, tower.hidden);
  return block_module(name, block, tower.layer_std);
}

}  // namespace

VisionTower read_vision_tower(HfConfig& config, const VisionTowerDefaults& defaults) {
  VisionTower tower{};
  tower.hidden = config.size("hidden_size", 768);
  tower.mlp = config.size("intermediate_size", 3072);
  tower.layers = config.size("num_hidden_layers", 12, {}, HfConfig::kMaxLayers);
  tower.heads = config.size("num_attention_heads", 12);
  tower.channels = config.size("num_channels", 3);
  tower.image = config.size("image_size", 224);
  tower.patch = config.size("patch_size", defaults.patch);
  tower.activation = config.activation("hidden_act", defaults.activation);
  tower.eps = config.positive("layer_norm_eps", defaults.eps);
  config.require_number("attention_dropout", 0.0, "dropout is not supported: only 0");
  if (tower.hidden % tower.heads != 0) {
    config.problem("num_attention_heads",
                   cat("does not divide hidden_size: ", tower.heads, " and ", tower.hidden));
  }
  if (tower.patch > tower.image) {
    config.problem("patch_size", cat("is larger than image_size: ", tower.patch, " and ", tower.image));
  }
  return tower;
}

void build_vision_tower(const VisionTower& tower, ModelSpec& spec) {
  const auto add_norm = [&](const std::string& name, bool pooled_only) {
    spec.modules.push_back(norm_module(name, norm_of(tower, name), pooled_only));
  };
  spec.modules.push_back(embeddings(tower));
  if (tower.pre_norm) add_norm("vision_model.pre_layrnorm", false);  // HF's own spelling
  for (std::int64_t i = 0; i < tower.layers; ++i) spec.modules.push_back(layer(tower, i));
  add_norm("vision_model.post_layernorm", tower.pooled_norm);
  const auto& patches = std::get<PatchEmbedding>(spec.modules.front().body);
  spec.hidden_size = tower.hidden;
  spec.num_layers = tower.layers;
  spec.heads = spec.kv_heads = tower.heads;
  spec.item_shape = {tower.channels, tower.image, tower.image};
  spec.leading_tokens = patches.leading();
  spec.tokens_per_item = patches.leading() + patches.patches();
}

}  // namespace cornstarch::catalog
