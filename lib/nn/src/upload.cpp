#include "cornstarch/nn/upload.h"

namespace cornstarch::nn {

at::Tensor upload(const at::Tensor& tensor, at::Device device) {
  if (!tensor.defined() || device.is_cpu()) return tensor;
  return tensor.pin_memory().to(device, /*non_blocking=*/true);
}

}  // namespace cornstarch::nn
