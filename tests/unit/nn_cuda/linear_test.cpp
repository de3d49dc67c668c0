#include "cornstarch/nn/linear.h"

#include <ATen/ops/empty.h>

#include "gpu.h"

using namespace cornstarch;

TEST_CASE("products of bf16 add up in fp32 on the GPU, the first in place of what was there", "[cuda]") {
  const at::Tensor grad = noise({300, 72}, 1).to(at::kBFloat16), x = noise({300, 40}, 2).to(at::kBFloat16);
  const at::Tensor expected = grad.to(at::kDouble).t().mm(x.to(at::kDouble));
  const Poison poison;
  const at::Tensor where = at::empty({72, 40}, at::TensorOptions(at::kCUDA).dtype(at::kFloat));
  const auto sum = std::make_shared<nn::GradientSum>();
  sum->open(where);
  const nn::Linear layer{at::empty({72, 40}, at::TensorOptions(at::kCUDA).dtype(at::kBFloat16)), {}, sum};
  CHECK_FALSE(nn::weight_gradient(layer, grad.cuda(), x.cuda()).defined());
  expect_near(where, expected, 1e-6);
  nn::weight_gradient(layer, grad.cuda(), x.cuda());
  expect_near(where, 2 * expected, 1e-6);
}
