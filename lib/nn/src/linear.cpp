#include "cornstarch/nn/linear.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include "differentiable.h"

namespace cornstarch::nn {

at::Tensor weight_gradient(const Linear& layer, const at::Tensor& grad, const at::Tensor& x) {
  if (!layer.sum || !layer.sum->is_open()) return at::mm(grad.t(), x);
  layer.sum->add_product(grad.t(), x);
  return {};
}

at::Tensor linear(const at::Tensor& x, const Linear& layer) {
  at::Tensor y;
  {
    const at::NoGradGuard no_grad;
    y = at::linear(x, layer.weight, layer.bias).detach();  // it may be a view
  }
  if (!records({x, layer.weight, layer.bias})) return y;
  return differentiable("Linear", y, {x, layer.weight, layer.bias},
                        [x = x.detach(), layer](const at::Tensor& grad, const std::vector<bool>& needed) {
                          const at::Tensor rows = grad.reshape({-1, grad.size(-1)});
                          std::vector<at::Tensor> out(3);
                          if (needed[0]) out[0] = at::mm(rows, layer.weight).view(x.sizes());
                          if (needed[1]) out[1] = weight_gradient(layer, rows, x.reshape({-1, x.size(-1)}));
                          if (needed[2]) out[2] = rows.sum(0);
                          return out;
                        });
}

}  // namespace cornstarch::nn
