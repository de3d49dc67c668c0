#include "build.h"

namespace cornstarch::catalog {

void add_linear(std::vector<ParamSpec>& params, const LinearSpec& linear, LinearSplit split,
                std::int64_t unit, double std) {
  ParamSpec weight{.name = linear.prefix + ".weight", .shape = {linear.out, linear.in}};
  weight.init = Init::normal;
  weight.init_std = std;
  if (split == LinearSplit::rows) weight.split = {0, unit};
  if (split == LinearSplit::columns) weight.split = {1, unit};
  params.push_back(weight);
  if (!linear.bias) return;
  ParamSpec bias{.name = linear.prefix + ".bias", .shape = {linear.out}};
  if (split == LinearSplit::rows) bias.split = {0, unit};
  params.push_back(bias);
}

void add_norm(std::vector<ParamSpec>& params, const NormSpec& norm) {
  params.push_back({.name = norm.prefix + ".weight", .shape = {norm.size}, .init = Init::ones});
  if (norm.kind == NormKind::layer_norm) {
    params.push_back({.name = norm.prefix + ".bias", .shape = {norm.size}});
  }
}

double linear_flops(const LinearSpec& linear) {
  return 2.0 * static_cast<double>(linear.in) * static_cast<double>(linear.out);
}

ModuleSpec block_module(const std::string& name, const BlockSpec& block, const BlockStd& std) {
  ModuleSpec module{.name = name, .body = block};
  auto& params = module.params;
  add_norm(params, block.norm1);
  for (const LinearSpec* linear : {&block.q, &block.k, &block.v}) {
    add_linear(params, *linear, LinearSplit::rows, block.head_dim, std.qkv);
    module.flops_per_token += linear_flops(*linear);
  }
  add_linear(params, block.o, LinearSplit::columns, block.head_dim, std.o);
  add_norm(params, block.norm2);
  if (block.gate) {
    add_linear(params, *block.gate, LinearSplit::rows, 1, std.up);
    module.flops_per_token += linear_flops(*block.gate);
  }
  add_linear(params, block.up, LinearSplit::rows, 1, std.up);
  add_linear(params, block.down, LinearSplit::columns, 1, std.down);
  module.flops_per_token += linear_flops(block.o) + linear_flops(block.up) + linear_flops(block.down);
  module.flops_per_token_pair = 4.0 * static_cast<double>(block.heads) * static_cast<double>(block.head_dim);
  return module;
}

ModuleSpec norm_module(const std::string& name, const NormSpec& norm, bool pooled_only) {
  ModuleSpec module{.name = name, .body = Norm{norm, pooled_only}};
  add_norm(module.params, norm);
  return module;
}

}  // namespace cornstarch::catalog
