#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "cornstarch/nn/linear.h"

/// Computing again in backward what forward does not keep (Chen et al. 2016, "Training deep nets with
/// sublinear memory cost"; Korthikanti et al. 2022, "Reducing activation recomputation in large transformer
/// models").
namespace cornstarch::nn {

/// A function that runs again in backward: of its inputs alone, bit by bit the same. What it holds must stay
/// as it is until then. Parameters inside get their gradients when it has run again; its collectives run
/// again in the order of backward, which is the same on every rank.
using Recomputed = std::function<at::Tensor(at::TensorList)>;

/// f({x}), keeping x only. Where f records nothing (frozen parameters, an input without a gradient), neither
/// does this.
at::Tensor checkpoint(const Recomputed& f, const at::Tensor& x);

/// f(inputs) through each of the linear layers, keeping the inputs only: f runs again in backward, the
/// layers' products do not.
std::vector<at::Tensor> recomputed_linear(const Recomputed& f, at::TensorList inputs,
                                          const std::vector<Linear>& layers, const RowFacts& facts = {});

}  // namespace cornstarch::nn
