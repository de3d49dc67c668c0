#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "cornstarch/nn/linear.h"

/// What the door (linear.h) makes of the tensors that products take.
namespace cornstarch::nn {

/// A tensor as products take it, rounded to e4m3 where its layer says so: in its own type, or as a matrix of
/// its rows in e4m3 where products do.
struct Operand {
  at::Tensor value;  ///< undefined where it is in e4m3
  Fp8Matrix fp8;

  bool in_fp8() const { return fp8.inverse.defined(); }
  /// As rows [n, k] of a type. In e4m3 the numbers are the same.
  at::Tensor rows(at::ScalarType type) const;
};

/// Which forms of an operand will be taken.
struct Forms {
  bool rows = true;
  bool columns = false;
};

/// The input x [..., in] of layers. `counted`: see RowFacts.
Operand input_of(const at::Tensor& x, const std::vector<Linear>& layers, Forms forms,
                 const at::Tensor& counted = {});

/// An input of those sizes through each layer; `flows`: its gradient will be asked for.
std::vector<at::Tensor> products(const Operand& x, at::IntArrayRef sizes, const std::vector<Linear>& layers,
                                 bool flows, const RowNames& names);

struct LinearGrads {
  at::Tensor x;  ///< rows [n, in]; undefined where not needed
  std::vector<at::Tensor>
      of_layers;  ///< weight and bias of each; undefined where not needed or added to a sum
};

/// The gradients of linears() at x, or at what is kept() of it. `needed`, from `first` on, says so of each
/// layer's weight and bias.
LinearGrads linear_grads(const Operand& x, bool x_needed, const std::vector<Linear>& layers,
                         const std::vector<at::Tensor>& grads, const std::vector<bool>& needed,
                         std::size_t first, const RowNames& names);

}  // namespace cornstarch::nn
