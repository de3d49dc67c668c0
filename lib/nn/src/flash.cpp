#include "flash.h"

#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>

namespace cornstarch::nn {
namespace {

// ATen wants heads before tokens.
at::Tensor turned(const at::Tensor& x) { return x.transpose(1, 2); }

}  // namespace

Attended flash_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal) {
  const auto [out, lse] =
      at::_scaled_dot_product_flash_attention_for_cpu(turned(q), turned(k), turned(v), 0.0, causal);
  return {turned(out), turned(lse)};
}

std::array<at::Tensor, 3> flash_backward(const at::Tensor& grad, const at::Tensor& q, const at::Tensor& k,
                                         const at::Tensor& v, const Attended& all, bool causal) {
  const auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
      turned(grad), turned(q), turned(k), turned(v), turned(all.out), turned(all.lse), 0.0, causal);
  return {turned(dq), turned(dk), turned(dv)};
}

}  // namespace cornstarch::nn
