#include "flash.h"

#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/zeros.h>

#include "math_attention.h"

namespace cornstarch::nn {
namespace {

// ATen's CPU kernel wants heads before tokens.
at::Tensor turned(const at::Tensor& x) { return x.transpose(1, 2); }

bool has_cuda_kernel(const at::Tensor& q) {
  return q.element_size() == 2 && q.size(3) % 8 == 0 && q.size(3) <= 256;
}

Attended cuda_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal) {
  const auto result = at::_flash_attention_forward(q, k, v, std::nullopt, std::nullopt, q.size(1), k.size(1),
                                                   0.0, causal, /*return_debug_mask=*/false);
  return {std::get<0>(result), turned(std::get<1>(result))};
}

std::array<at::Tensor, 3> cuda_backward(const at::Tensor& grad, const at::Tensor& q, const at::Tensor& k,
                                        const at::Tensor& v, const Attended& all, bool causal) {
  const at::Tensor no_dropout = at::zeros({2}, q.options().dtype(at::kUInt64));
  const auto [dq, dk, dv] =
      at::_flash_attention_backward(grad, q, k, v, all.out, turned(all.lse).contiguous(), {}, {}, q.size(1),
                                    k.size(1), 0.0, causal, no_dropout, no_dropout);
  return {dq, dk, dv};
}

}  // namespace

Attended flash_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal) {
  if (q.is_cuda()) return has_cuda_kernel(q) ? cuda_forward(q, k, v, causal) : math_forward(q, k, v, causal);
  const auto [out, lse] =
      at::_scaled_dot_product_flash_attention_for_cpu(turned(q), turned(k), turned(v), 0.0, causal);
  return {turned(out), turned(lse)};
}

std::array<at::Tensor, 3> flash_backward(const at::Tensor& grad, const at::Tensor& q, const at::Tensor& k,
                                         const at::Tensor& v, const Attended& all, bool causal) {
  if (q.is_cuda())
    return has_cuda_kernel(q) ? cuda_backward(grad, q, k, v, all, causal)
                              : math_backward(grad, q, k, v, all, causal);
  const auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
      turned(grad), turned(q), turned(k), turned(v), turned(all.out), turned(all.lse), 0.0, causal);
  return {turned(dq), turned(dk), turned(dv)};
}

}  // namespace cornstarch::nn
