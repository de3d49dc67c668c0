#include "vision_tower.h"

#include "cornstarch/base/text.h"

namespace cornstarch::catalog {
namespace {

NormSpec norm_of(const VisionTower& tower, const std::string& prefix) {
  return {NormKind::layer_norm, tower.eps, tower.hidden, prefix};
}

ModuleSpec embeddings(const VisionTower& tower) {
  const std::string& name = tower.names.embeddings;
  const PatchEmbedding patches{.channels = tower.channels,
                               .image_size = tower.image,
                               .patch_size = tower.patch,
                               .hidden = tower.hidden,
                               .convolution = name + tower.names.convolution,
                               .class_token = tower.class_token ? name + tower.names.class_token : "",
                               .positions = name + tower.names.positions};
  ModuleSpec module{.name = name, .body = patches};
  const auto add = [&](const std::string& param, Shape shape, std::size_t batch_dims, double deviation) {
    if (tower.batch_dims) shape.insert(shape.begin(), batch_dims, 1);
    module.params.push_back(
        {.name = param, .shape = std::move(shape), .init = Init::normal, .init_std = deviation});
  };
  if (tower.class_token) add(patches.class_token, {tower.hidden}, 2, tower.class_std);
  add(patches.convolution + ".weight", {tower.hidden, tower.channels, tower.patch, tower.patch}, 0,
      tower.patch_std);
  if (tower.patch_bias)
    module.params.push_back({.name = patches.convolution + ".bias", .shape = {tower.hidden}});
  add(patches.positions, {patches.leading() + patches.patches(), tower.hidden}, 1, tower.position_std);
  return module;
}

FeedForwardSpec feed_forward(const VisionTower& tower, const std::string& layer) {
  FeedForwardSpec spec;
  spec.activation = tower.activation;
  spec.up = {layer + tower.names.up, tower.hidden, tower.mlp, true};
  spec.down = {layer + tower.names.down, tower.mlp, tower.hidden, true};
  if (!tower.gated) return spec;
  const auto part = [&](const char* name, std::int64_t first) {
    LinearSpec linear = spec.up;
    linear.prefix += name;
    linear.stacked = Stacked{spec.up.prefix, 2 * tower.mlp, first};
    return linear;
  };
  spec.gate = part(".gate", 0);
  spec.up = part(".up", tower.mlp);
  return spec;
}

ModuleSpec layer(const VisionTower& tower, std::int64_t index) {
  const VisionTowerNames& names = tower.names;
  const std::string name = cat(names.layers, ".", index);
  const auto square = [&](const std::string& part, bool bias) {
    return LinearSpec{name + part, tower.hidden, tower.hidden, bias};
  };
  const auto scale = [&](const std::string& part) {
    return part.empty() ? std::nullopt : std::optional(ScaleSpec{name + part, tower.hidden, tower.scale});
  };
  BlockSpec block;
  block.norm1 = norm_of(tower, name + names.norm1);
  block.norm2 = norm_of(tower, name + names.norm2);
  block.attention_scale = scale(names.scale1);
  block.feed_forward_scale = scale(names.scale2);
  block.attention.heads = block.attention.kv_heads = tower.heads;
  block.attention.head_dim = tower.hidden / tower.heads;
  block.attention.q = square(names.q, tower.qkv_bias);
  block.attention.k = square(names.k, tower.qkv_bias);
  block.attention.v = square(names.v, tower.qkv_bias);
  block.attention.o = square(names.o, true);
  block.feed_forward = feed_forward(tower, name);
  return block_module(name, block, tower.layer_std);
}

}  // namespace

VisionTower read_vision_tower(HfConfig& config, const VisionTowerDefaults& defaults) {
  VisionTower tower{};
  tower.hidden = config.size("hidden_size", 768);
  if (defaults.mlp > 0) tower.mlp = config.size("intermediate_size", defaults.mlp);
  tower.layers = config.size("num_hidden_layers", 12, {}, HfConfig::kMaxLayers);
  tower.heads = config.size("num_attention_heads", 12);
  tower.channels = config.size("num_channels", 3);
  tower.image = config.size("image_size", 224);
  tower.patch = config.size("patch_size", defaults.patch);
  tower.activation = config.activation("hidden_act", defaults.activation);
  tower.eps = config.positive("layer_norm_eps", defaults.eps);
  for (const char* key : defaults.dropouts)
    config.require_number(key, 0.0, "dropout is not supported: only 0");
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
  add_norm(tower.names.last_norm, tower.pooled_norm);
  const auto& patches = std::get<PatchEmbedding>(spec.modules.front().body);
  spec.hidden_size = tower.hidden;
  spec.num_layers = tower.layers;
  spec.heads = spec.kv_heads = tower.heads;
  spec.item_shape = {tower.channels, tower.image, tower.image};
  spec.leading_tokens = patches.leading();
}

}  // namespace cornstarch::catalog
