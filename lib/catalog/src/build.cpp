#include "build.h"

namespace cornstarch::catalog {

void add_linear(std::vector<ParamSpec>& params, const LinearSpec& linear, LinearSplit split,
                std::int64_t unit, double std) {
  const auto param = [&](const char* part, Shape shape) {
    ParamSpec made{.name = linear.prefix + part, .shape = std::move(shape)};
    if (const auto& stacked = linear.stacked)
      made.stacked = Stacked{stacked->name + part, stacked->rows, stacked->first};
    return made;
  };
  ParamSpec weight = param(".weight", {linear.out, linear.in});
  weight.init = Init::normal;
  weight.init_std = std;
  if (split == LinearSplit::rows) weight.split = {0, unit};
  if (split == LinearSplit::columns) weight.split = {1, unit};
  params.push_back(weight);
  if (!linear.bias) return;
  ParamSpec bias = param(".bias", {linear.out});
  if (split == LinearSplit::rows) bias.split = {0, unit};
  params.push_back(bias);
}

void add_norm(std::vector<ParamSpec>& params, const NormSpec& norm) {
  params.push_back({.name = norm.prefix + ".weight",
                    .shape = {norm.size},
                    .init = Init::constant,
                    .init_std = 1 - norm.offset,
                    .of_norm = true});
  if (norm.kind == NormKind::layer_norm) {
    params.push_back({.name = norm.prefix + ".bias", .shape = {norm.size}, .of_norm = true});
  }
}

namespace {

void add_attention(ModuleSpec& module, const AttentionSpec& attention, const BlockStd& std) {
  for (const LinearSpec* linear : {&attention.q, &attention.k, &attention.v})
    add_linear(module.params, *linear, LinearSplit::rows, attention.head_dim, std.qkv);
  for (const auto* norm : {&attention.q_norm, &attention.k_norm}) {
    if (!*norm) continue;
    const std::size_t first = module.params.size();
    add_norm(module.params, **norm);
    for (std::size_t i = first; i < module.params.size(); ++i) {
      if ((*norm)->size == attention.head_dim)
        module.params[i].sums_over_tp = true;
      else
        module.params[i].split = {0, attention.head_dim};
    }
  }
  add_linear(module.params, attention.o, LinearSplit::columns, attention.head_dim, std.o);
}

void add_feed_forward(ModuleSpec& module, const FeedForwardSpec& feed_forward, const BlockStd& std) {
  if (feed_forward.gate) add_linear(module.params, *feed_forward.gate, LinearSplit::rows, 1, std.up);
  add_linear(module.params, feed_forward.up, LinearSplit::rows, 1, std.up);
  add_linear(module.params, feed_forward.down, LinearSplit::columns, 1, std.down);
}

}  // namespace

ModuleSpec block_module(const std::string& name, const BlockSpec& block, const BlockStd& std) {
  ModuleSpec module{.name = name, .body = block};
  const auto add = [&](const std::optional<NormSpec>& norm) {
    if (norm) add_norm(module.params, *norm);
  };
  const auto add_scale = [&](const std::optional<ScaleSpec>& scale) {
    if (scale)
      module.params.push_back(
          {.name = scale->name, .shape = {scale->size}, .init = Init::constant, .init_std = scale->value});
  };
  add(block.norm1);
  add_attention(module, block.attention, std);
  add(block.attention_norm);
  add_scale(block.attention_scale);
  add(block.norm2);
  add_feed_forward(module, block.feed_forward, std);
  add(block.feed_forward_norm);
  add_scale(block.feed_forward_scale);
  return module;
}

ModuleSpec norm_module(const std::string& name, const NormSpec& norm, bool pooled_only) {
  ModuleSpec module{.name = name, .body = Norm{norm, pooled_only}};
  add_norm(module.params, norm);
  return module;
}

}  // namespace cornstarch::catalog
