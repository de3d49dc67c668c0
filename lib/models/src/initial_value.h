#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "cornstarch/base/checked.h"
#include "cornstarch/catalog/model_spec.h"

namespace cornstarch::models {

/// A shard's initial value: of the global tensor `part` along split_dim (all of it where that is -1). Element
/// i of the global tensor is a pure function of (seed, full_name, i), so every layout of a run starts from
/// the same model.
struct InitialValue {
  const catalog::ParamSpec& spec;
  std::string full_name;
  std::uint64_t seed = 0;
  int split_dim = -1;
  Range part;
};

/// Writes the elements `elements` of the flattened shard to `out` [elements.size()], on whatever device it
/// is: the values are the same everywhere.
void write_initial_value(const InitialValue& of, Range elements, const at::Tensor& out);

}  // namespace cornstarch::models
