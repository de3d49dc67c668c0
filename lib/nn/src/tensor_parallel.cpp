#include "cornstarch/nn/tensor_parallel.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logical_or.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <limits>
#include <vector>

#include "cornstarch/nn/layers.h"
#include "differentiable.h"

namespace cornstarch::nn {
namespace {

using Needed = const std::vector<bool>&;

// Parts of a dimension, put together by adding zeros: exact, and shares need not be equal.
at::Tensor gathered(const at::Tensor& x, std::int64_t dim, Range part, std::int64_t size, comm::Group& tp) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape[static_cast<std::size_t>(dim)] = size;
  at::Tensor all = at::zeros(shape, x.options());
  all.narrow(dim, part.begin, part.size()).copy_(x);
  tp.all_reduce(all);
  return all;
}

at::Tensor row_max(const at::Tensor& logits, comm::Group& tp) {
  const double lowest = -std::numeric_limits<double>::infinity();
  at::Tensor max =
      logits.size(1) > 0 ? at::amax(logits, {1}) : at::full({logits.size(0)}, lowest, logits.options());
  if (tp.size() > 1) tp.all_reduce(max, comm::Reduce::max);
  return max;
}

}  // namespace

at::Tensor copy_to_tp(const at::Tensor& x, const comm::GroupPtr& tp) {
  if (tp->size() == 1 || !records({x})) return x;
  return differentiable("CopyToTp", x.detach(), {x}, [tp](const at::Tensor& grad, Needed) {
    // A copy, since autograd may have handed the same gradient to a residual branch.
    at::Tensor sum = grad.clone(at::MemoryFormat::Contiguous);
    tp->all_reduce(sum);
    return std::vector<at::Tensor>{sum};
  });
}

at::Tensor reduce_from_tp(const at::Tensor& x, const comm::GroupPtr& tp) {
  if (tp->size() == 1) return x;
  at::Tensor sum = x.detach().contiguous();
  tp->all_reduce(sum);
  if (!records({x})) return sum;
  return differentiable("ReduceFromTp", sum, {x},
                        [](const at::Tensor& grad, Needed) { return std::vector<at::Tensor>{grad}; });
}

at::Tensor gather_from_tp(const at::Tensor& x, std::int64_t dim, Range part, std::int64_t size,
                          const comm::GroupPtr& tp) {
  if (tp->size() == 1) return x;
  at::Tensor all = gathered(x.detach(), dim, part, size, *tp);
  if (!records({x})) return all;
  return differentiable("GatherFromTp", all, {x}, [=](const at::Tensor& grad, Needed) {
    return std::vector<at::Tensor>{grad.narrow(dim, part.begin, part.size())};
  });
}

at::Tensor split_to_tp(const at::Tensor& x, std::int64_t dim, Range part, const comm::GroupPtr& tp) {
  if (tp->size() == 1) return x;
  at::Tensor mine = x.detach().narrow(dim, part.begin, part.size()).contiguous();
  if (!records({x})) return mine;
  return differentiable("SplitToTp", mine, {x}, [=, size = x.size(dim)](const at::Tensor& grad, Needed) {
    return std::vector<at::Tensor>{gathered(grad, dim, part, size, *tp)};
  });
}

at::Tensor split_rms_norm(const at::Tensor& x_in, const at::Tensor& weight_in, double eps, double offset,
                          std::int64_t size, const comm::GroupPtr& tp) {
  if (tp->size() == 1) return rms_norm(x_in, weight_in, eps, offset);
  const at::Tensor x = x_in.detach(), weight = weight_in.detach();
  const at::ScalarType wide = x.element_size() < 4 ? at::kFloat : x.scalar_type();
  const auto mean = [=](const at::Tensor& own) {
    at::Tensor sum = own.sum(-1, /*keepdim=*/true);
    tp->all_reduce(sum);
    return sum.div_(size);
  };
  const at::Tensor rstd = mean(x.to(wide).square()).add_(eps).rsqrt_();
  at::Tensor y = (x.to(wide) * rstd).mul_(weight.to(wide) + offset).to(x.scalar_type());
  if (!records({x_in, weight_in})) return y;
  return differentiable("SplitRmsNorm", y, {x_in, weight_in}, [=](const at::Tensor& grad_in, Needed needed) {
    const at::Tensor grad = grad_in.to(wide), normed = x.to(wide) * rstd;
    at::Tensor x_grad, weight_grad;
    if (needed[0]) {
      const at::Tensor scaled = grad * (weight.to(wide) + offset);
      x_grad = (scaled - normed * mean(scaled * normed)).mul_(rstd).to(x.scalar_type());
    }
    if (needed[1]) weight_grad = (grad * normed).flatten(0, -2).sum(0).to(weight.scalar_type());
    return std::vector<at::Tensor>{x_grad, weight_grad};
  });
}

at::Tensor vocab_parallel_embedding(const at::Tensor& ids, const at::Tensor& weight, std::int64_t first,
                                    std::int64_t padding_idx, const comm::GroupPtr& tp) {
  const at::Tensor local = first == 0 ? ids : ids - first;
  const at::Tensor elsewhere = at::logical_or(ids < 0, at::logical_or(local < 0, local >= weight.size(0)));
  at::Tensor rows;
  if (weight.size(0) > 0) {
    const bool padding_here = padding_idx >= first && padding_idx < first + weight.size(0);
    rows = at::embedding(weight, local.masked_fill(elsewhere, 0), padding_here ? padding_idx - first : -1);
    rows.masked_fill_(elsewhere.unsqueeze(-1), 0);
  } else {
    std::vector<std::int64_t> shape = ids.sizes().vec();
    shape.push_back(weight.size(1));
    rows = at::zeros(shape, weight.options());
  }
  return reduce_from_tp(rows, tp);
}

at::Tensor vocab_parallel_argmax(const at::Tensor& logits, std::int64_t first, const comm::GroupPtr& tp) {
  if (tp->size() == 1) return at::argmax(logits, 1);
  const at::NoGradGuard no_grad;
  const at::Tensor max = row_max(logits, *tp);
  const double none = -std::numeric_limits<double>::max();
  at::Tensor negated = at::full({logits.size(0)}, none, logits.options().dtype(at::kDouble));
  if (logits.size(1) > 0) {
    const at::Tensor column = at::argmax(logits, 1);
    const at::Tensor found = logits.gather(1, column.unsqueeze(1)).squeeze(1) == max;
    negated = at::where(found, (column + first).to(at::kDouble).neg(), negated);
  }
  // The largest of the negated columns is the first column that holds the maximum.
  tp->all_reduce(negated, comm::Reduce::max);
  return negated.neg().to(at::kLong);
}

}  // namespace cornstarch::nn
