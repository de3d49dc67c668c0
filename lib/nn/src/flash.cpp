#include "flash.h"

#include <ATen/Context.h>
#include <ATen/SDPBackend.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/_fused_sdp_choice.h>
#include <ATen/ops/_scaled_dot_product_cudnn_attention.h>
#include <ATen/ops/_scaled_dot_product_cudnn_attention_backward.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/zeros.h>

#include <vector>

#include "math_attention.h"

namespace cornstarch::nn {
namespace {

// ATen's CPU kernel wants heads before tokens.
at::Tensor turned(const at::Tensor& x) { return x.transpose(1, 2); }

// Whether cuDNN computes these, and for so long that a plan of its own, which it makes for every new shape,
// is worth it.
bool takes_cudnn(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal) {
  constexpr std::int64_t worth_a_plan = std::int64_t{1} << 37;
  if (q.element_size() != 2 || q.numel() * k.size(1) < worth_a_plan) return false;
  prefer_fastest_attention();
  return at::_fused_sdp_choice(turned(q), turned(k), turned(v), {}, 0.0, causal, {},
                               q.size(2) != k.size(2)) ==
         static_cast<std::int64_t>(at::SDPBackend::cudnn_attention);
}

Attended cudnn_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal) {
  const auto result = at::_scaled_dot_product_cudnn_attention(turned(q), turned(k), turned(v), {},
                                                              /*compute_log_sumexp=*/true, 0.0, causal);
  return {turned(std::get<0>(result)),
          turned(std::get<1>(result).reshape({q.size(0), q.size(2), q.size(1)}))};
}

std::array<at::Tensor, 3> cudnn_backward(const at::Tensor& grad, const at::Tensor& q, const at::Tensor& k,
                                         const at::Tensor& v, const Attended& all, bool causal) {
  const at::Tensor no_dropout = at::zeros({1}, q.options().dtype(at::kLong));
  const auto [dq, dk, dv] = at::_scaled_dot_product_cudnn_attention_backward(
      turned(grad), turned(q), turned(k), turned(v), turned(all.out),
      turned(all.lse).contiguous().unsqueeze(3), no_dropout, no_dropout, {}, {}, {}, q.size(1), k.size(1),
      0.0, causal);
  return {turned(dq), turned(dk), turned(dv)};
}

bool has_cuda_kernel(const at::Tensor& q) {
  return q.element_size() == 2 && q.size(3) % 8 == 0 && q.size(3) <= 256;
}

Attended cuda_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal) {
  if (!has_cuda_kernel(q)) return math_forward(q, k, v, causal);
  if (takes_cudnn(q, k, v, causal)) return cudnn_forward(q, k, v, causal);
  const auto result = at::_flash_attention_forward(q, k, v, std::nullopt, std::nullopt, q.size(1), k.size(1),
                                                   0.0, causal, /*return_debug_mask=*/false);
  return {std::get<0>(result), turned(std::get<1>(result))};
}

std::array<at::Tensor, 3> cuda_backward(const at::Tensor& grad, const at::Tensor& q, const at::Tensor& k,
                                        const at::Tensor& v, const Attended& all, bool causal) {
  if (!has_cuda_kernel(q)) return math_backward(grad, q, k, v, all, causal);
  if (takes_cudnn(q, k, v, causal)) return cudnn_backward(grad, q, k, v, all, causal);
  const at::Tensor no_dropout = at::zeros({2}, q.options().dtype(at::kUInt64));
  const auto [dq, dk, dv] =
      at::_flash_attention_backward(grad, q, k, v, all.out, turned(all.lse).contiguous(), {}, {}, q.size(1),
                                    k.size(1), 0.0, causal, no_dropout, no_dropout);
  return {dq, dk, dv};
}

}  // namespace

Attended flash_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal,
                       double softcap) {
  if (softcap > 0) return math_forward(q, k, v, causal, softcap);
  if (q.is_cuda()) return cuda_forward(q, k, v, causal);
  const auto [out, lse] =
      at::_scaled_dot_product_flash_attention_for_cpu(turned(q), turned(k), turned(v), 0.0, causal);
  return {turned(out), turned(lse)};
}

std::array<at::Tensor, 3> flash_backward(const at::Tensor& grad, const at::Tensor& q, const at::Tensor& k,
                                         const at::Tensor& v, const Attended& all, bool causal,
                                         double softcap) {
  if (softcap > 0) return math_backward(grad, q, k, v, all, causal, softcap);
  if (q.is_cuda()) return cuda_backward(grad, q, k, v, all, causal);
  const auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
      turned(grad), turned(q), turned(k), turned(v), turned(all.out), turned(all.lse), 0.0, causal);
  return {turned(dq), turned(dk), turned(dv)};
}

void prefer_fastest_attention() {
  using at::SDPBackend;
  static const bool once = [] {
    std::vector<std::int64_t> order;
    for (const SDPBackend backend :
         {SDPBackend::cudnn_attention, SDPBackend::flash_attention, SDPBackend::efficient_attention,
          SDPBackend::math, SDPBackend::overrideable})
      order.push_back(static_cast<std::int64_t>(backend));
    at::globalContext().setSDPPriorityOrder(order);
    return true;
  }();
  static_cast<void>(once);
}

}  // namespace cornstarch::nn
