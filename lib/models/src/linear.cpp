#include "linear.h"

#include "cornstarch/base/random.h"
#include "cornstarch/catalog/lora.h"
#include "cornstarch/nn/layers.h"
#include "cornstarch/nn/tensor_parallel.h"

namespace cornstarch::models {
namespace {

nn::Adapter adapter_of(const LayerContext& context, const catalog::LinearSpec& spec) {
  const Parameter& a = context.parameters.at(catalog::lora_a(spec));
  const Parameter& b = context.parameters.at(catalog::lora_b(spec));
  nn::Adapter out{{a.value, {}, a.sum}, {b.value, {}, b.sum}, spec.lora->scale};
  out.a.dropout = {Philox(context.seed, "dropout before " + a.full_name()).key(), spec.lora->dropout,
                   a.offset};
  return out;
}

}  // namespace

Linear linear_of(const ParameterSet& parameters, const catalog::LinearSpec& spec) {
  const Parameter& weight = parameters.at(spec.prefix + ".weight");
  return {weight.value, parameters.find(spec.prefix + ".bias"), weight.sum};
}

Linear layer_of(const LayerContext& context, const catalog::LinearSpec& spec) {
  Linear out = linear_of(context.parameters, spec);
  if (spec.lora) out.adapter = std::make_shared<nn::Adapter>(adapter_of(context, spec));
  if (context.fp8) out.fp8 = {context.fp8, context.fp8->add(spec.prefix + ".weight")};
  return out;
}

at::Tensor apply(const Linear& linear, const at::Tensor& x) { return nn::linear(x, linear); }

at::Tensor apply_row_parallel(const Linear& linear, const at::Tensor& x, const comm::GroupPtr& tp) {
  if (tp->size() == 1) return apply(linear, x);
  at::Tensor y =
      nn::reduce_from_tp(nn::linear(x, {linear.weight, {}, linear.sum, linear.fp8, linear.adapter}), tp);
  if (linear.bias.defined()) y.add_(linear.bias);
  return y;
}

NormWeights norm_of(const ParameterSet& parameters, const catalog::NormSpec& spec) {
  return {spec.kind,
          spec.eps,
          spec.size,
          parameters.at(spec.prefix + ".weight").value,
          parameters.find(spec.prefix + ".bias"),
          spec.offset};
}

at::Tensor apply(const NormWeights& norm, const at::Tensor& x) {
  return norm.kind == catalog::NormKind::rms_norm ? nn::rms_norm(x, norm.weight, norm.eps, norm.offset)
                                                  : nn::layer_norm(x, norm.weight, norm.bias, norm.eps);
}

nn::NormedSum add_and_apply(const NormWeights& norm, const at::Tensor& x, const at::Tensor& residual) {
  return norm.kind == catalog::NormKind::rms_norm
             ? nn::add_rms_norm(x, residual, norm.weight, norm.eps, norm.offset)
             : nn::add_layer_norm(x, residual, norm.weight, norm.bias, norm.eps);
}

}  // namespace cornstarch::models
