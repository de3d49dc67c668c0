#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace cornstarch::nn {

/// What the layers of one sequence keep of its tokens, so that one more token costs its own row only: keys,
/// turned by their positions, and values. Of a layer with a window, little more than that window is kept.
/// Without gradients.
class KeyValueCache {
 public:
  struct Held {
    at::Tensor keys, values;  ///< [1, m, kv_heads x head_dim], views until the next add()
  };

  /// Whether a layer has tokens.
  bool holds(std::size_t layer) const { return layer < layers_.size() && layers_[layer].length > 0; }
  /// Takes a layer's next tokens [1, n, ...]: all that a prompt has, or one. Gives those that the last of
  /// them sees: all, or with a `window` the last ones of it.
  Held add(std::size_t layer, const at::Tensor& keys, const at::Tensor& values, std::int64_t window);
  void clear() { layers_.clear(); }
  std::int64_t bytes() const;

 private:
  struct Layer {
    at::Tensor keys, values;  // [1, room, ...], of which `length` are taken
    std::int64_t length = 0;
  };
  std::vector<Layer> layers_;
};

}  // namespace cornstarch::nn
