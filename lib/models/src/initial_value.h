#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "cornstarch/base/checked.h"
#include "cornstarch/catalog/model_spec.h"

namespace cornstarch::models {

/// The initial value of a shard: `part` of the global tensor along split_dim (all of it where that is -1).
/// Element i of the global tensor is a pure function of (seed, full_name, i), so every layout of a run starts
/// from the same model.
at::Tensor initial_value(const catalog::ParamSpec& spec, const std::string& full_name, std::uint64_t seed,
                         int split_dim, Range part, at::ScalarType dtype);

}  // namespace cornstarch::models
