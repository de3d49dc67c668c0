#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "cornstarch/nn/layers.h"
#include "cuda_layers.h"
#include "differentiable.h"
#include "kernels.h"

namespace cornstarch::nn {
namespace {

using cuda::Normed;
using cuda::NormGrads;

// The type of statistics and of sums over rows.
at::TensorOptions wide(const at::Tensor& x) {
  return x.options().dtype(x.scalar_type() == at::kBFloat16 ? at::kFloat : x.scalar_type());
}

struct Norm {
  at::Tensor weight, bias;  // a bias or none: LayerNorm or RMSNorm
  double eps;
  double offset = 0;  // added to the weight, in the type of statistics

  bool centered() const { return bias.defined(); }
};

Normed rms_norm_rows(const at::Tensor& x, const at::Tensor& residual, const Norm& norm) {
  const std::int64_t size = norm.weight.numel();
  const std::int64_t rows = x.numel() / size;
  Normed out{at::empty_like(x), {}, at::empty({rows}, wide(x))};
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "rms_norm", [&] {
    kernels::rms_norm<scalar_t>(
        x.mutable_data_ptr<scalar_t>(), residual.defined() ? residual.const_data_ptr<scalar_t>() : nullptr,
        norm.weight.const_data_ptr<scalar_t>(), rows, size, norm.eps, norm.offset,
        out.y.mutable_data_ptr<scalar_t>(), out.rstd.mutable_data_ptr<kernels::Wide<scalar_t>>());
  });
  return out;
}

NormGrads rms_norm_rows_backward(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& weight,
                                 double offset, const at::Tensor& rstd, bool x_needed, bool weight_needed) {
  const std::int64_t size = weight.numel();
  const std::int64_t rows = rstd.numel();
  const int parts = static_cast<int>(std::clamp<std::int64_t>(rows * size / 16384, 1, at::get_num_threads()));
  NormGrads out;
  if (x_needed) out.x = at::empty_like(x);
  if (weight_needed) out.weight = at::empty({parts, size}, wide(x));
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "rms_norm_backward", [&] {
    kernels::rms_norm_backward<scalar_t>(
        grad.const_data_ptr<scalar_t>(), x.const_data_ptr<scalar_t>(), weight.const_data_ptr<scalar_t>(),
        rstd.const_data_ptr<kernels::Wide<scalar_t>>(), rows, size, offset,
        x_needed ? out.x.mutable_data_ptr<scalar_t>() : nullptr,
        weight_needed ? out.weight.mutable_data_ptr<kernels::Wide<scalar_t>>() : nullptr, parts);
  });
  if (weight_needed) out.weight = out.weight.sum(0).to(weight.scalar_type());
  return out;
}

// With a residual, x becomes the sum.
Normed forward(const at::Tensor& x, const at::Tensor& residual, const Norm& norm) {
  if (x.is_cuda())
    return cuda::norm(x, residual, norm.weight, norm.bias, norm.eps, norm.centered(), norm.offset);
  if (!norm.centered()) return rms_norm_rows(x, residual, norm);
  if (residual.defined()) x.add_(residual);
  auto [y, mean, rstd] = at::native_layer_norm(x, norm.weight.sizes(), norm.weight, norm.bias, norm.eps);
  return {y, mean, rstd};
}

// sum_grad is what x gets besides, or undefined.
NormGrads backward(const at::Tensor& grad, const at::Tensor& sum_grad, const at::Tensor& x, const Norm& norm,
                   const Normed& normed, bool x_needed, bool weight_needed) {
  if (x.is_cuda())
    return cuda::norm_backward(grad, sum_grad, x, norm.weight, norm.offset, normed, x_needed, weight_needed);
  NormGrads out;
  if (norm.centered()) {
    std::tie(out.x, out.weight, out.bias) =
        at::native_layer_norm_backward(grad, x, norm.weight.sizes(), normed.mean, normed.rstd, norm.weight,
                                       norm.bias, {x_needed, weight_needed, weight_needed});
  } else {
    out = rms_norm_rows_backward(grad, x, norm.weight, norm.offset, normed.rstd, x_needed, weight_needed);
  }
  if (x_needed && sum_grad.defined()) out.x.add_(sum_grad);
  return out;
}

// x + residual and its norm; without a residual, x and its norm.
NormedSum apply(const char* name, const at::Tensor& x_in, const at::Tensor& residual_in,
                const Norm& norm_in) {
  const at::Tensor x = x_in.detach().contiguous();
  const at::Tensor residual = residual_in.defined() ? residual_in.detach().contiguous() : residual_in;
  const Norm norm{norm_in.weight.detach(), norm_in.centered() ? norm_in.bias.detach() : norm_in.bias,
                  norm_in.eps, norm_in.offset};
  Normed normed = forward(x, residual, norm);
  const NormedSum out{x, std::move(normed.y)};
  if (!records({x_in, residual_in, norm_in.weight, norm_in.bias})) return out;
  const BackwardOfMany give_back = [saved = x.detach(), norm, normed](const std::vector<at::Tensor>& grads,
                                                                      const std::vector<bool>& needed) {
    const at::Tensor sum_grad =
        grads.size() == 2 && grads[0].defined() ? grads[0].contiguous() : at::Tensor();
    if (!grads.back().defined()) return std::vector<at::Tensor>{sum_grad, sum_grad, {}, {}};
    const NormGrads g = backward(grads.back().contiguous(), sum_grad, saved, norm, normed,
                                 needed[0] || needed[1], needed[2] || needed[3]);
    return std::vector<at::Tensor>{g.x, g.x, g.weight, g.bias};
  };
  if (residual.defined()) {
    differentiable(name, {out.sum, out.normed}, {x_in, residual_in, norm_in.weight, norm_in.bias}, give_back);
  } else {
    differentiable(name, {out.normed}, {x_in, residual_in, norm_in.weight, norm_in.bias}, give_back);
  }
  return out;
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, double offset) {
  return apply("RmsNorm", x, {}, {weight, {}, eps, offset}).normed;
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  return apply("LayerNorm", x, {}, {weight, bias, eps}).normed;
}

NormedSum add_rms_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight, double eps,
                       double offset) {
  return apply("AddRmsNorm", x, residual, {weight, {}, eps, offset});
}

NormedSum add_layer_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                         const at::Tensor& bias, double eps) {
  return apply("AddLayerNorm", x, residual, {weight, bias, eps});
}

}  // namespace cornstarch::nn
