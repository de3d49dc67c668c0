#include "cornstarch/nn/linear.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include "differentiable.h"

namespace cornstarch::nn {
namespace {

at::Tensor rows_of(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}); }

}  // namespace

at::Tensor product(const at::Tensor& x, const Linear& layer) {
  const at::NoGradGuard no_grad;
  return at::linear(x, layer.weight, layer.bias).detach();  // it may be a view
}

void input_gradient(at::Tensor into, const at::Tensor& grad, const Linear& layer, bool adds) {
  const at::NoGradGuard no_grad;
  adds ? into.addmm_(grad, layer.weight) : at::mm_out(into, grad, layer.weight);
}

at::Tensor weight_gradient(const Linear& layer, const at::Tensor& grad, const at::Tensor& x) {
  if (!layer.sum || !layer.sum->is_open()) return at::mm(grad.t(), x);
  layer.sum->add_product(grad.t(), x);
  return {};
}

void GradientSum::add_product(const at::Tensor& a, const at::Tensor& b) {
  const at::NoGradGuard no_grad;
  const at::Tensor sum = sum_.view({a.size(0), b.size(1)});
  at::Tensor out = sum;
  if (sum.scalar_type() == a.scalar_type()) {
    first() ? at::mm_out(out, a, b) : out.addmm_(a, b);
  } else if (sum.is_cuda()) {
    first() ? at::mm_out(out, a, b, sum.scalar_type()) : at::addmm_out(out, sum, a, b, sum.scalar_type());
  } else {
    add(at::mm(a, b).view(sum_.sizes()));
  }
}

LinearGrads linear_grads(const at::Tensor& x, bool x_needed, const std::vector<Linear>& layers,
                         const std::vector<at::Tensor>& grads, const std::vector<bool>& needed,
                         std::size_t first) {
  LinearGrads out{{}, std::vector<at::Tensor>(2 * layers.size())};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!grads[i].defined()) continue;
    const at::Tensor grad = rows_of(grads[i]);
    if (needed[first + 2 * i]) out.of_layers[2 * i] = weight_gradient(layers[i], grad, x);
    if (needed[first + 2 * i + 1]) out.of_layers[2 * i + 1] = grad.sum(0);
    if (!x_needed) continue;
    const bool adds = out.x.defined();
    if (!adds) out.x = at::empty(x.sizes(), x.options());
    input_gradient(out.x, grad, layers[i], adds);
  }
  return out;
}

namespace {

/// The layers without their adapters.
std::vector<at::Tensor> products(const at::Tensor& x, const std::vector<Linear>& layers) {
  std::vector<at::Tensor> outputs, parents{x};
  for (const Linear& layer : layers) {
    outputs.push_back(product(x, layer));
    parents.insert(parents.end(), {layer.weight, layer.bias});
  }
  if (!records(parents)) return outputs;
  differentiable(
      "Linear", outputs, parents,
      [x = x.detach(), layers](const std::vector<at::Tensor>& grads, const std::vector<bool>& needed) {
        const LinearGrads of = linear_grads(rows_of(x), needed[0], layers, grads, needed, 1);
        std::vector<at::Tensor> out{of.x.defined() ? of.x.view(x.sizes()) : at::Tensor()};
        out.insert(out.end(), of.of_layers.begin(), of.of_layers.end());
        return out;
      });
  return outputs;
}

}  // namespace

at::Tensor weight_of(const Adapter& adapter) {
  const at::NoGradGuard no_grad;
  return at::mm(adapter.b.weight, adapter.a.weight).mul_(adapter.scale);
}

std::vector<Linear> with_adapters(const std::vector<Linear>& layers) {
  std::vector<Linear> all = layers;
  for (const Linear& layer : layers)
    if (layer.adapter) all.push_back(layer.adapter->a);
  return all;
}

std::vector<at::Tensor> adapted(std::vector<at::Tensor> products, const std::vector<Linear>& layers) {
  std::size_t next = layers.size();
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!layers[i].adapter) continue;
    const Adapter& adapter = *layers[i].adapter;
    products[i] = at::add(products[i], linear(products[next++], adapter.b), adapter.scale);
  }
  products.resize(layers.size());
  return products;
}

std::vector<at::Tensor> linears(const at::Tensor& x, const std::vector<Linear>& layers) {
  return adapted(products(x, with_adapters(layers)), layers);
}

at::Tensor linear(const at::Tensor& x, const Linear& layer) { return linears(x, {layer})[0]; }

}  // namespace cornstarch::nn
