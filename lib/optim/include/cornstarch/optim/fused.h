#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

/// One launch for all segments of a device: flat runs of parameters, as many as the device's memory holds.
namespace cornstarch::optim {

/// What AdamW updates together: flat contiguous tensors of one length. `master`, `first` and `second` are
/// fp32, or fp64 where all is fp64. The value is written in its own type (bf16); undefined where the master
/// is the value.
struct AdamwSegment {
  at::Tensor value;
  at::Tensor master;
  at::Tensor gradient;  // fp32 or bf16; fp64
  at::Tensor first;
  at::Tensor second;
  double weight_decay = 0;
};

struct AdamwStep {
  double lr = 0;
  double beta1 = 0, beta2 = 0;
  double eps = 0;
  at::Tensor steps;  ///< updates so far, this one included: an fp32 scalar of the device
  at::Tensor scale;  ///< what gradients are multiplied by, an fp32 scalar of the device; undefined: 1
  at::Tensor skip;   ///< not 0 where nothing is to change, an fp32 scalar of the device; undefined: 0
};

/// AdamW (Loshchilov & Hutter, "Decoupled weight decay regularization", 2019) as PyTorch computes it, over
/// segments of a CUDA device that have the same types. Waits for nothing.
void fused_adamw(const std::vector<AdamwSegment>& segments, const AdamwStep& step);

/// The sum of the squares of flat fp32, bf16 or fp64 gradients of a CUDA device: an fp64 scalar there, the
/// same in every run.
at::Tensor fused_squared_norm(const std::vector<at::Tensor>& gradients);

}  // namespace cornstarch::optim
