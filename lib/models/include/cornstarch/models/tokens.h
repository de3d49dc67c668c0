#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <vector>

#include "cornstarch/nn/context_attention.h"
#include "cornstarch/nn/key_value_cache.h"
#include "cornstarch/nn/layers.h"
#include "cornstarch/nn/linear.h"

namespace cornstarch::models {

/// Where a microbatch's tokens stand. By default hidden states are whole rows [b, t, hidden], each token
/// seeing its own row. With a layout they are this context-parallel rank's tokens: [1, n, hidden] in the LLM
/// and in encoders whose items have sizes of their own, one behind the other; [items, its places of each,
/// hidden] in other encoders.
struct Tokens {
  nn::ContextLayoutPtr layout;
  at::Tensor positions;     ///< [n] int64, in their samples or items, or [3, n], as plan::rope_positions has
                            ///< them; undefined without a layout
  std::int64_t length = 0;  ///< positions are smaller than this
  std::map<std::int64_t, nn::ContextLayoutPtr> windowed = {};  ///< the layout of each window that is noticed
  nn::RowLengths rows = {};  ///< where rotary embeddings depend on the lengths of samples

  nn::RowFacts facts = {};  ///< of hidden states as products take them
  /// Without gradients: where the blocks keep keys and values of one sequence. Once they have some, hidden
  /// states are [1, 1, hidden], the token behind those.
  nn::KeyValueCache* cache = nullptr;

  const nn::ContextLayoutPtr& layout_of(std::int64_t window) const {
    const auto found = windowed.find(window);
    return found == windowed.end() ? layout : found->second;
  }
};

/// The same for layers of another device.
Tokens on_device(const Tokens& tokens, at::Device device);

/// [n] int64.
at::Tensor index_tensor(const std::vector<std::int64_t>& values);

}  // namespace cornstarch::models
