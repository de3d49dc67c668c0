#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "cornstarch/nn/dropout.h"
#include "cornstarch/nn/fp8.h"
#include "cornstarch/nn/gradient_sum.h"

/// The one door through which activations meet weights: whatever multiplies by a weight does so here.
namespace cornstarch::nn {

struct Adapter;

struct Linear {
  at::Tensor weight = {};        ///< [out, in]
  at::Tensor bias = {};          ///< undefined where there is none
  GradientSumPtr sum = nullptr;  ///< of the weight; null: autograd's
  Fp8Layer fp8 = {};             ///< scales of its operands, where they are rounded
  std::shared_ptr<const Adapter> adapter = nullptr;
  Dropout dropout = {};  ///< of what it takes, where rows have names
};

/// LoRA: scale * b(a(x)) beside what a layer gives. Of a layer that is split over ranks, one of both is split
/// like it, so that sums over ranks are those of the layer.
struct Adapter {
  Linear a, b;
  double scale = 0;
};

/// What is known of the rows [n] of an input.
struct RowFacts {
  at::Tensor counted = {};  ///< bool: which are no padding. Undefined where all are, or where nobody asks
  RowNames names = {};
};

/// x [..., in] through the layer.
at::Tensor linear(const at::Tensor& x, const Linear& layer, const RowFacts& facts = {});

/// x [..., in] through each of the layers. What flows back to x is added up by the products themselves. Of
/// layers that round, x goes by the first one's scale, for which only rows are looked at that are counted.
std::vector<at::Tensor> linears(const at::Tensor& x, const std::vector<Linear>& layers,
                                const RowFacts& facts = {});

// What those consist of where nothing is rounded, for operations with a backward of their own.

/// The layers, and behind them the A of their adapters: all of them products of one input.
std::vector<Linear> with_adapters(const std::vector<Linear>& layers);

/// What adapted layers give, of the products of with_adapters(layers). Recorded.
std::vector<at::Tensor> adapted(std::vector<at::Tensor> products, const std::vector<Linear>& layers);

/// scale * B A: what an adapter adds to its layer's weight [out, in].
at::Tensor weight_of(const Adapter& adapter);

/// x [..., in] through the layer without its adapter. Not recorded, nor is what follows.
at::Tensor product(const at::Tensor& x, const Linear& layer);

/// The input's gradient, given rows of the output's [n, out], into `into` [n, in] or added to it.
void input_gradient(at::Tensor into, const at::Tensor& grad, const Linear& layer, bool adds = false);

/// The weight's gradient, given rows of the output's gradient [n, out] and of the input [n, in]: undefined
/// where it has been added to the layer's sum.
at::Tensor weight_gradient(const Linear& layer, const at::Tensor& grad, const at::Tensor& x);

}  // namespace cornstarch::nn
