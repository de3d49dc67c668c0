#include "cornstarch/nn/layers.h"

#include <ATen/Dispatch.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/reciprocal.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"
#include "cuda_layers.h"
#include "differentiable.h"
#include "flash.h"
#include "kernels.h"

namespace cornstarch::nn {
namespace {

using Needed = const std::vector<bool>&;

// The type in which the kernels compute: statistics, angles, sums over rows.
at::ScalarType wide(at::ScalarType type) { return type == at::kBFloat16 ? at::kFloat : type; }

void rotate_rows(const at::Tensor& x, const RopeTable& table, bool inverse, const at::Tensor& out) {
  const std::int64_t length = x.size(1);
  const std::int64_t half = table.cos.size(1);
  const std::int64_t rows = x.size(0) * length;
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "rotate", [&] {
    using wide_t = kernels::Wide<scalar_t>;
    kernels::rotate<scalar_t>(x.const_data_ptr<scalar_t>(), table.cos.const_data_ptr<wide_t>(),
                              table.sin.const_data_ptr<wide_t>(), rows, length, x.size(2) / (2 * half), half,
                              inverse, out.mutable_data_ptr<scalar_t>());
  });
}

void rotate_heads(const at::Tensor& q, const at::Tensor& k, const RopeTable& table, bool inverse,
                  const at::Tensor& q_out, const at::Tensor& k_out) {
  if (q.is_cuda()) return cuda::rotate(q, k, table, inverse, q_out, k_out);
  rotate_rows(q, table, inverse, q_out);
  rotate_rows(k, table, inverse, k_out);
}

// Saves gate and up only: silu(gate) is computed again in backward.
at::Tensor swiglu(const at::Tensor& gate_in, const at::Tensor& up_in) {
  const at::Tensor gate = gate_in.detach().contiguous();
  const at::Tensor up = up_in.detach().contiguous();
  at::Tensor out = at::silu(gate).mul_(up);
  if (!records({gate_in, up_in})) return out;
  return differentiable("SwiGlu", out, {gate_in, up_in}, [gate, up](const at::Tensor& grad_in, Needed) {
    const at::Tensor grad = grad_in.contiguous();
    const at::Tensor sigmoid = at::sigmoid(gate.to(wide(gate.scalar_type())));
    const at::Tensor up_grad = sigmoid.scalar_type() == gate.scalar_type() ? sigmoid : at::empty_like(gate);
    const at::Tensor gate_grad = at::empty_like(gate);
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, gate.scalar_type(), "swiglu_backward", [&] {
      kernels::swiglu_backward<scalar_t>(
          grad.const_data_ptr<scalar_t>(), gate.const_data_ptr<scalar_t>(), up.const_data_ptr<scalar_t>(),
          sigmoid.const_data_ptr<kernels::Wide<scalar_t>>(), gate.numel(),
          gate_grad.mutable_data_ptr<scalar_t>(), up_grad.mutable_data_ptr<scalar_t>());
    });
    return std::vector<at::Tensor>{gate_grad, up_grad};
  });
}

// activation(gate) * up in one kernel, without up where it is undefined.
at::Tensor gated_on_device(catalog::Activation kind, const at::Tensor& gate_in, const at::Tensor& up_in) {
  const at::Tensor gate = gate_in.detach(), up = up_in.defined() ? up_in.detach() : up_in;
  at::Tensor out = cuda::gated(kind, gate, up);
  if (!records({gate_in, up_in})) return out;
  return differentiable("Gated", out, {gate_in, up_in}, [=](const at::Tensor& grad, Needed) {
    const cuda::GatedGradTensors grads = cuda::gated_backward(kind, grad.contiguous(), gate, up);
    return std::vector<at::Tensor>{grads.gate, grads.up};
  });
}

// transformers.modeling_rope_utils._compute_llama3_parameters.
at::Tensor llama3_frequencies(const catalog::RopeSpec& spec, const at::Tensor& plain) {
  const auto old_length = static_cast<double>(spec.original_max_positions);
  const double low_wavelength = old_length / spec.low_freq_factor;
  const double high_wavelength = old_length / spec.high_freq_factor;
  const at::Tensor wavelength = 2 * std::numbers::pi / plain;
  const at::Tensor scaled = at::where(wavelength > low_wavelength, plain / spec.factor, plain);
  const at::Tensor smooth =
      (old_length / wavelength - spec.low_freq_factor) / (spec.high_freq_factor - spec.low_freq_factor);
  const at::Tensor smoothed = (1 - smooth) * scaled / spec.factor + smooth * scaled;
  const at::Tensor medium = at::logical_and(wavelength >= high_wavelength, wavelength <= low_wavelength);
  return at::where(medium, smoothed, scaled);
}

// transformers.modeling_rope_utils._compute_yarn_parameters (Peng et al. 2023, "YaRN"): the fast dimensions
// stay, the slow ones are scaled, between them a ramp.
at::Tensor yarn_frequencies(const catalog::RopeSpec& spec, std::int64_t head_dim, const at::Tensor& plain) {
  const auto dim = static_cast<double>(head_dim);
  const auto dimension_of = [&](double rotations) {
    return dim *
           std::log(static_cast<double>(spec.original_max_positions) / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(spec.theta));
  };
  double low = dimension_of(spec.beta_fast), high = dimension_of(spec.beta_slow);
  if (spec.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  const at::Tensor scaled = ((at::arange(plain.size(0), at::kFloat) - low) / (high - low)).clamp_(0, 1);
  return plain / spec.factor * scaled + plain * (1 - scaled);
}

// transformers.modeling_rope_utils._compute_dynamic_ntk_parameters: beyond the original length the base
// grows.
double dynamic_theta(const catalog::RopeSpec& spec, std::int64_t head_dim, std::int64_t length) {
  const auto original = static_cast<double>(spec.original_max_positions), dim = static_cast<double>(head_dim);
  const double stretch = std::max(1.0, static_cast<double>(length) / original);
  return spec.theta * std::pow(spec.factor * stretch - (spec.factor - 1), dim / (dim - 2));
}

// [head_dim / 2], fp32, of a sample of `length` tokens.
at::Tensor frequencies_of(const catalog::RopeSpec& spec, std::int64_t head_dim, std::int64_t length) {
  using Type = catalog::RopeSpec::Type;
  if (spec.own_frequencies) {
    std::vector<at::Tensor> sections;
    for (const std::int64_t size : spec.sections) {
      catalog::RopeSpec of_section = spec;
      of_section.own_frequencies = false;
      sections.push_back(frequencies_of(of_section, 2 * size, length));
    }
    return at::cat(sections);
  }
  const at::Tensor exponents = at::arange(0, head_dim, 2, at::kFloat) / head_dim;
  const double theta = spec.type == Type::dynamic ? dynamic_theta(spec, head_dim, length) : spec.theta;
  at::Tensor plain = at::reciprocal(at::pow(theta, exponents));
  switch (spec.type) {
    case Type::standard:
    case Type::dynamic:
      return plain;
    case Type::linear:
      return plain / spec.factor;
    case Type::yarn:
      return yarn_frequencies(spec, head_dim, plain);
    case Type::longrope:
      return plain / at::tensor(length > spec.original_max_positions ? spec.long_factors : spec.short_factors,
                                at::kFloat);
    case Type::llama3:
      return llama3_frequencies(spec, plain);
  }
  throw Failure(ExitCode::internal, "unknown rotary embedding");
}

// Of angles in fp32: the table in the activations' device and type, or in fp32 where that is narrower.
RopeTable table_of(const at::Tensor& angles, double factor, at::TensorOptions activations) {
  const at::ScalarType dtype = wide(at::typeMetaToScalarType(activations.dtype()));
  const auto scaled = [&](const at::Tensor& x) { return x.mul_(factor).to(activations.device(), dtype); };
  return {scaled(angles.cos()), scaled(angles.sin())};
}

}  // namespace

at::Tensor activation(catalog::Activation kind, const at::Tensor& x) {
  if (x.is_cuda()) return gated_on_device(kind, x, {});
  switch (kind) {
    case catalog::Activation::gelu:
      return at::gelu(x);
    case catalog::Activation::gelu_tanh:
      return at::gelu(x, "tanh");
    case catalog::Activation::quick_gelu: {
      // x sigmoid(a x) = silu(a x) / a, and silu saves one tensor where sigmoid and product save two.
      constexpr double a = 1.702;
      return at::silu(x * a).div_(a);
    }
    case catalog::Activation::silu:
      return at::silu(x);
    case catalog::Activation::relu:
      return at::relu(x);
  }
  throw Failure(ExitCode::internal, "unknown activation");
}

at::Tensor gated(catalog::Activation kind, const at::Tensor& gate, const at::Tensor& up) {
  if (gate.is_cuda()) return gated_on_device(kind, gate, up);
  return kind == catalog::Activation::silu ? swiglu(gate, up) : activation(kind, gate) * up;
}

Rope::Rope(const catalog::RopeSpec& spec, std::int64_t head_dim) : spec_(spec), head_dim_(head_dim) {}

RopeTable Rope::table(std::int64_t length, at::TensorOptions activations) {
  if (spec_.depends_on_length() && length > spec_.original_max_positions)
    throw Failure(ExitCode::internal,
                  cat("rotary embedding by samples' lengths over whole rows of ", length));
  const at::ScalarType dtype = wide(at::typeMetaToScalarType(activations.dtype()));
  const at::Tensor& have = longest_.cos;
  if (!have.defined() || have.size(0) < length || have.scalar_type() != dtype ||
      have.device() != activations.device()) {
    const at::Tensor angles =
        at::outer(at::arange(length, at::kFloat), frequencies_of(spec_, head_dim_, length));
    longest_ = table_of(angles, spec_.attention_factor, activations);
  }
  return {longest_.cos.narrow(0, 0, length), longest_.sin.narrow(0, 0, length)};
}

/// [n, head_dim / 2]: the part of each position [3, n] that turns with each frequency.
at::Tensor Rope::by_frequency(const at::Tensor& positions) const {
  std::vector<at::Tensor> turns;
  for (const std::int64_t frequencies : spec_.sections) {
    const auto part = static_cast<std::int64_t>(turns.size()) % 3;
    turns.push_back(positions[part].unsqueeze(1).expand({-1, frequencies}));
  }
  return at::cat(turns, 1);
}

RopeTable Rope::table_at(const at::Tensor& positions, std::int64_t length, const RowLengths& rows,
                         at::TensorOptions activations) {
  const at::ScalarType dtype = wide(at::typeMetaToScalarType(activations.dtype()));
  if (last_positions_.is_same(positions) && last_.cos.scalar_type() == dtype) return last_;
  last_positions_ = positions;
  if (!spec_.depends_on_length() || !rows.rows.defined()) {
    const RopeTable all = table(length, activations);
    if (positions.dim() == 1)
      return last_ = {all.cos.index_select(0, positions), all.sin.index_select(0, positions)};
    const at::Tensor places = by_frequency(positions);
    return last_ = {all.cos.gather(0, places), all.sin.gather(0, places)};
  }
  std::vector<at::Tensor> by_row;
  for (const std::int64_t each : rows.lengths) by_row.push_back(frequencies_of(spec_, head_dim_, each));
  const at::Tensor frequencies = at::stack(by_row).to(positions.device()).index_select(0, rows.rows);
  return last_ = table_of(positions.to(at::kFloat).unsqueeze(1) * frequencies, spec_.attention_factor,
                          activations);
}

std::pair<at::Tensor, at::Tensor> rotate(const at::Tensor& q_in, const at::Tensor& k_in,
                                         const RopeTable& table) {
  const at::Tensor q = q_in.detach().contiguous(), k = k_in.detach().contiguous();
  rotate_heads(q, k, table, false, q, k);
  if (records({q_in, k_in})) {
    // Seldom has one of them no reader: zeros will do.
    const auto whole = [](const at::Tensor& grad, const at::Tensor& other, at::IntArrayRef shape) {
      return grad.defined() ? grad.contiguous() : at::zeros(shape, other.options());
    };
    const auto backward = [=, q_shape = q.sizes().vec(), k_shape = k.sizes().vec()](
                              const std::vector<at::Tensor>& grads, Needed) {
      const at::Tensor q_grad = whole(grads[0], grads[1], q_shape),
                       k_grad = whole(grads[1], grads[0], k_shape);
      const std::vector<at::Tensor> back{at::empty_like(q_grad), at::empty_like(k_grad)};
      rotate_heads(q_grad, k_grad, table, true, back[0], back[1]);
      return back;
    };
    differentiable("Rotate", {q, k}, {q_in, k_in}, BackwardOfMany(backward));
  }
  return {q, k};
}

namespace {

at::Tensor capped_attention(const at::Tensor& q_in, const at::Tensor& k_in, const at::Tensor& v_in,
                            std::int64_t head_dim, bool causal, double softcap) {
  const auto by_head = [=](const at::Tensor& x) { return x.detach().unflatten(2, {-1, head_dim}); };
  const at::Tensor q = by_head(q_in), k = by_head(k_in), v = by_head(v_in);
  const Attended all = flash_forward(q, k, v, causal, softcap);
  at::Tensor out = all.out.flatten(2);
  if (!records({q_in, k_in, v_in})) return out;
  return differentiable("CappedAttention", out, {q_in, k_in, v_in}, [=](const at::Tensor& grad, Needed) {
    const auto [dq, dk, dv] = flash_backward(by_head(grad), q, k, v, all, causal, softcap);
    return std::vector<at::Tensor>{dq.flatten(2), dk.flatten(2), dv.flatten(2)};
  });
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t head_dim,
                     bool causal, double softcap) {
  if (softcap > 0) return capped_attention(q, k, v, head_dim, causal, softcap);
  const auto heads_first = [&](const at::Tensor& x) {
    return x.view({x.size(0), x.size(1), x.size(2) / head_dim, head_dim}).transpose(1, 2);
  };
  if (q.is_cuda()) prefer_fastest_attention();
  const bool grouped = q.size(2) != k.size(2);
  const at::Tensor out = at::scaled_dot_product_attention(heads_first(q), heads_first(k), heads_first(v),
                                                          std::nullopt, 0.0, causal, std::nullopt, grouped);
  // The kernel writes [b, t, heads, head_dim], so this is a view.
  return out.transpose(1, 2).reshape({q.size(0), q.size(1), q.size(2)});
}

}  // namespace cornstarch::nn
