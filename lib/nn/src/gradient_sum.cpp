#include "cornstarch/nn/gradient_sum.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
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

void GradientSum::add_by(std::int64_t rows,
                         const std::function<void(const at::Tensor& into, bool adds)>& product) {
  const at::NoGradGuard no_grad;
  const bool adds = !first();
  product(sum_.view({rows, -1}), adds);
}

}  // namespace cornstarch::nn
