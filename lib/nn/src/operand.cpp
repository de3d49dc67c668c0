#include "operand.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/maximum.h>

#include <algorithm>
#include <array>

#include "cuda_operand.h"

namespace cornstarch::nn {
namespace {

constexpr double kLargest = 448;    // of e4m3
constexpr std::int64_t kUnit = 16;  // of what GPUs multiply

at::Tensor rows_of(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}); }

void note(const at::Tensor& largest, const at::Tensor& x, const at::Tensor& counted) {
  if (x.numel() == 0) return;
  at::Tensor of_rows = rows_of(x).abs().amax(1);
  if (counted.defined()) of_rows = of_rows.masked_fill(counted.logical_not(), 0);
  largest.copy_(at::maximum(largest, of_rows.amax().to(largest.scalar_type())));
}

at::Tensor rounded(const at::Tensor& x, const Fp8Scales::Site& site) {
  return x.mul(site.scale)
      .clamp_(-kLargest, kLargest)
      .to(at::kFloat8_e4m3fn)
      .to(x.scalar_type())
      .mul_(site.inverse);
}

// Whether the layer's products can take their operands as they are in e4m3.
bool multiplies_fp8(const Linear& layer) {
  const at::Tensor& w = layer.weight;
  return w.is_cuda() && w.scalar_type() == at::kBFloat16 && w.size(0) % kUnit == 0 && w.size(1) % kUnit == 0;
}

Operand take(const at::Tensor& x, const Fp8Layer& layer, Fp8Scales::Role role, bool in_fp8, Forms forms,
             const at::Tensor& counted = {}) {
  const at::NoGradGuard no_grad;
  const at::Tensor value = x.detach();
  if (!layer.scales) return {value, {}};
  const bool known = layer.scales->known(layer.number, role);
  const Fp8Scales::Site& site = layer.scales->site(layer.number, role);
  if (known && in_fp8) return {{}, cuda::to_fp8(rows_of(value), site, forms, counted)};
  note(site.largest, value, counted);
  return {known ? rounded(value, site) : value, {}};
}

Operand weight_of(const Linear& layer, Forms forms) {
  Fp8Matrix* kept = layer.fp8.scales ? layer.fp8.scales->kept(layer.fp8.number) : nullptr;
  const bool in_fp8 = multiplies_fp8(layer);
  if (kept == nullptr || !in_fp8)
    return take(layer.weight, layer.fp8, Fp8Scales::Role::weight, in_fp8, forms);
  const Forms missing{forms.rows && !kept->rows.defined(), forms.columns && !kept->columns.defined()};
  if (!missing.rows && !missing.columns) return {{}, *kept};
  Operand taken = take(layer.weight, layer.fp8, Fp8Scales::Role::weight, in_fp8, missing);
  if (!taken.in_fp8()) return taken;
  const Fp8Matrix before = *kept;
  *kept = taken.fp8;
  if (!missing.rows) kept->rows = before.rows;
  if (!missing.columns) kept->columns = before.columns;
  return {{}, *kept};
}

Operand gradient_of(const at::Tensor& grad, const Linear& layer, Forms forms) {
  return take(grad, layer.fp8, Fp8Scales::Role::gradient, multiplies_fp8(layer), forms);
}

void flow_back(const at::Tensor& into, const Operand& grad, const Linear& layer, bool adds) {
  const at::NoGradGuard no_grad;
  const Operand weight = weight_of(layer, {false, true});
  if (grad.in_fp8() && weight.in_fp8())
    return cuda::fp8_gradient(into, {grad.fp8.rows, grad.fp8.inverse},
                              {weight.fp8.columns, weight.fp8.inverse}, adds);
  const at::ScalarType type = into.scalar_type();
  input_gradient(into, grad.rows(type), {weight.rows(type)}, adds);
}

at::Tensor learn(const Linear& layer, const Operand& grad, const Operand& x) {
  if (!grad.in_fp8() || !x.in_fp8()) {
    const at::ScalarType type = layer.weight.scalar_type();
    return weight_gradient(layer, grad.rows(type), x.rows(type));
  }
  const at::NoGradGuard no_grad;
  const auto product = [&](const at::Tensor& into, bool adds) {
    cuda::fp8_gradient(into, {grad.fp8.columns, grad.fp8.inverse}, {x.fp8.columns, x.fp8.inverse}, adds);
  };
  if (layer.sum && layer.sum->is_open()) {
    layer.sum->add_by(layer.weight.size(0), product);
    return {};
  }
  at::Tensor out = at::empty_like(layer.weight, at::MemoryFormat::Contiguous);
  product(out, false);
  return out;
}

/// What a layer takes of an input of those sizes. It is computed again in backward, not kept.
Operand left(const Operand& x, at::IntArrayRef sizes, const Linear& layer, const RowNames& names) {
  if (!drops(layer.dropout, names)) return x;
  return {drop(x.rows(layer.weight.scalar_type()), layer.dropout, names).view(sizes), {}};
}

at::Tensor through(const Operand& x, at::IntArrayRef shape, const Linear& layer, bool flows) {
  const at::NoGradGuard no_grad;
  const Operand weight = weight_of(layer, {true, flows});
  if (x.in_fp8() && weight.in_fp8())
    return cuda::fp8_product({x.fp8.rows, x.fp8.inverse}, {weight.fp8.rows, weight.fp8.inverse}, layer.bias)
        .view(shape)
        .detach();
  if (!x.in_fp8() && !weight.in_fp8()) return product(x.value, {weight.value, layer.bias});
  const at::ScalarType type = layer.weight.scalar_type();
  return product(x.rows(type), {weight.rows(type), layer.bias}).view(shape).detach();
}

}  // namespace

at::Tensor Operand::rows(at::ScalarType type) const {
  if (!in_fp8()) return rows_of(value);
  const at::Tensor numbers = fp8.rows.defined() ? fp8.rows : fp8.columns.narrow(1, 0, fp8.n).t();
  return numbers.to(type).mul_(fp8.inverse);
}

Operand input_of(const at::Tensor& x, const std::vector<Linear>& layers, Forms forms,
                 const at::Tensor& counted) {
  return take(x, layers[0].fp8, Fp8Scales::Role::input, std::ranges::all_of(layers, multiplies_fp8), forms,
              counted);
}

std::vector<at::Tensor> products(const Operand& x, at::IntArrayRef sizes, const std::vector<Linear>& layers,
                                 bool flows, const RowNames& names) {
  std::vector<at::Tensor> out;
  for (const Linear& layer : layers) {
    std::vector<std::int64_t> shape = sizes.vec();
    shape.back() = layer.weight.size(0);
    out.push_back(through(left(x, sizes, layer, names), shape, layer, flows));
  }
  return out;
}

LinearGrads linear_grads(const Operand& x, bool x_needed, const std::vector<Linear>& layers,
                         const std::vector<at::Tensor>& grads, const std::vector<bool>& needed,
                         std::size_t first, const RowNames& names) {
  LinearGrads out{{}, std::vector<at::Tensor>(2 * layers.size())};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!grads[i].defined()) continue;
    const at::Tensor rows = rows_of(grads[i]);
    const std::array in{rows.size(0), layers[i].weight.size(1)};
    const bool weight_needed = needed[first + 2 * i];
    if (needed[first + 2 * i + 1]) out.of_layers[2 * i + 1] = rows.sum(0);
    if (!x_needed && !weight_needed) continue;
    const Operand grad = gradient_of(rows, layers[i], {x_needed, weight_needed});
    if (weight_needed) out.of_layers[2 * i] = learn(layers[i], grad, left(x, in, layers[i], names));
    if (!x_needed) continue;
    const bool drops_some = drops(layers[i].dropout, names), adds = out.x.defined() && !drops_some;
    const at::Tensor into = adds ? out.x : at::empty(in, rows.options());
    flow_back(into, grad, layers[i], adds);
    if (drops_some) drop(into, layers[i].dropout, names, into);
    out.x = out.x.defined() && !adds ? out.x.add_(into) : into;
  }
  return out;
}

}  // namespace cornstarch::nn
