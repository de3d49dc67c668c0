#include "cornstarch/nn/gradient_sum.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>

#include <utility>

namespace cornstarch::nn {

void GradientSum::open(const at::Tensor& where, bool adds) {
  sum_ = where;
  empty_ = !adds;
}

void GradientSum::complete() {
  if (first()) sum_.zero_();
}

void GradientSum::close() {
  complete();
  sum_.reset();
}

bool GradientSum::first() { return std::exchange(empty_, false); }

void GradientSum::add(const at::Tensor& gradient) {
  const at::NoGradGuard no_grad;
  if (first())
    sum_.copy_(gradient);
  else
    sum_.add_(gradient);
}

void GradientSum::add_scaled(const at::Tensor& gradient, const at::Tensor& factor) {
  const at::NoGradGuard no_grad;
  if (first())
    at::mul_out(sum_, gradient, factor);
  else
    sum_.addcmul_(gradient, factor);
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

}  // namespace cornstarch::nn
