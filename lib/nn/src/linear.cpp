#include "cornstarch/nn/linear.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include "differentiable.h"
#include "operand.h"

namespace cornstarch::nn {
namespace {

/// What backward takes of an input.
Operand kept(const Operand& input) {
  if (!input.in_fp8()) return input;
  Fp8Matrix of_weights = input.fp8;
  of_weights.rows.reset();
  return {{}, of_weights};
}

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

namespace {

/// The layers without their adapters.
std::vector<at::Tensor> without_adapters(const at::Tensor& x, const std::vector<Linear>& layers,
                                         const RowFacts& facts) {
  std::vector<at::Tensor> parents{x}, weights;
  for (const Linear& layer : layers) {
    parents.insert(parents.end(), {layer.weight, layer.bias});
    weights.push_back(layer.weight);
  }
  const Operand input = input_of(x, layers, {true, records(weights)}, facts.counted);
  const std::vector<at::Tensor> outputs = products(input, x.sizes(), layers, records({x}), facts.names);
  if (!records(parents)) return outputs;
  differentiable("Linear", outputs, parents,
                 [kept = kept(input), shape = x.sizes().vec(), layers, names = facts.names](
                     const std::vector<at::Tensor>& grads, const std::vector<bool>& needed) {
                   const LinearGrads of = linear_grads(kept, needed[0], layers, grads, needed, 1, names);
                   std::vector<at::Tensor> out{of.x.defined() ? of.x.view(shape) : at::Tensor()};
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

std::vector<at::Tensor> linears(const at::Tensor& x, const std::vector<Linear>& layers,
                                const RowFacts& facts) {
  return adapted(without_adapters(x, with_adapters(layers), facts), layers);
}

at::Tensor linear(const at::Tensor& x, const Linear& layer, const RowFacts& facts) {
  return linears(x, {layer}, facts)[0];
}

}  // namespace cornstarch::nn
