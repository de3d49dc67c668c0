#pragma once

#include <string>
#include <vector>

#include "cornstarch/catalog/model_spec.h"

/// Modules from their bodies: parameters and splits follow from the layer specs.
namespace cornstarch::catalog {

/// How a linear layer is split over tp: whole, by rows (output features) or by columns (input features).
enum class LinearSplit { none, rows, columns };

void add_linear(std::vector<ParamSpec>& params, const LinearSpec& linear, LinearSplit split,
                std::int64_t unit, double std);
void add_norm(std::vector<ParamSpec>& params, const NormSpec& norm);

/// Standard deviations of a block's linear layers when drawn at random.
struct BlockStd {
  double qkv = 0, o = 0, up = 0, down = 0;
};

ModuleSpec block_module(const std::string& name, const BlockSpec& block, const BlockStd& std);
ModuleSpec norm_module(const std::string& name, const NormSpec& norm, bool pooled_only = false);

}  // namespace cornstarch::catalog
