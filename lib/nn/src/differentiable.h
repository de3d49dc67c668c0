#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace cornstarch::nn {

/// The gradients of the inputs, given the output's. needed[i]: whether input i's is wanted; undefined where
/// it is not.
using Backward =
    std::function<std::vector<at::Tensor>(const at::Tensor& grad, const std::vector<bool>& needed)>;

/// Whether autograd records an operation on these tensors.
bool records(at::TensorList inputs);

/// Tells autograd how `output` came from `inputs`, of which some may be undefined. `output` was computed
/// while nothing was recorded; it may share memory with an input that was changed in place. `backward` must
/// hold detached tensors and leaves only, and is dropped once it has run.
at::Tensor differentiable(const char* name, at::Tensor output, at::TensorList inputs, Backward backward);

/// The same for an operation with several outputs; a gradient is undefined where nothing came back for its
/// output.
using BackwardOfMany = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>& grads,
                                                             const std::vector<bool>& needed)>;
void differentiable(const char* name, at::TensorList outputs, at::TensorList inputs, BackwardOfMany backward);

}  // namespace cornstarch::nn
