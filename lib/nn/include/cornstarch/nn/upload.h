#pragma once

#include <ATen/core/Tensor.h>

namespace cornstarch::nn {

/// A tensor of the CPU, where the layers compute: through pinned memory, so that the host does not wait for a
/// GPU. Undefined stays undefined.
at::Tensor upload(const at::Tensor& tensor, at::Device device);

}  // namespace cornstarch::nn
