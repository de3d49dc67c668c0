#include "cornstarch/nn/cross_entropy.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/logical_or.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "cornstarch/base/checked.h"
#include "cuda_layers.h"
#include "differentiable.h"

namespace cornstarch::nn {
namespace {

at::ScalarType at_least_fp32(const at::Tensor& x) {
  return x.element_size() < 4 ? at::kFloat : x.scalar_type();
}

/// CUDA's kernels compute in fp32 whatever the logits' type.
at::ScalarType type_of_logits(const at::Tensor& hidden) {
  return hidden.is_cuda() ? hidden.scalar_type() : at_least_fp32(hidden);
}

/// The targets' columns in this rank's part of the vocabulary.
struct Targets {
  at::Tensor column;     // [n, 1], 0 where the target is on another rank
  at::Tensor elsewhere;  // [n, 1], whether it is
  at::Tensor ids;        // [n], in the whole vocabulary
  std::int64_t first;    // of this rank's part

  Targets part(Range rows) const {
    const auto some = [&](const at::Tensor& x) { return x.narrow(0, rows.begin, rows.size()); };
    return {some(column), some(elsewhere), some(ids), first};
  }
};

Targets targets_here(const at::Tensor& targets, std::int64_t first, std::int64_t columns) {
  const at::Tensor column = (targets - first).unsqueeze(1);
  const at::Tensor elsewhere = at::logical_or(column < 0, column >= columns);
  return {column.masked_fill(elsewhere, 0), elsewhere, targets, first};
}

/// logits = exp(logits - max) and its row sums; on the CPU a few rows at a time, so that they stay in the
/// cache.
void exponentials(const at::Tensor& logits, const at::Tensor& max, const at::Tensor& sums) {
  constexpr std::int64_t cached_elements = 1 << 17;
  const std::int64_t rows = logits.size(0);
  const std::int64_t step =
      logits.is_cpu() ? std::max<std::int64_t>(1, cached_elements / logits.size(1)) : rows;
  for (std::int64_t begin = 0; begin < rows; begin += step) {
    const std::int64_t count = std::min(step, rows - begin);
    const at::Tensor some = logits.narrow(0, begin, count);
    some.sub_(max.narrow(0, begin, count).unsqueeze(1)).exp_();
    at::Tensor some_sums = sums.narrow(0, begin, count);
    at::sum_out(some_sums, some, {1});
  }
}

/// Into own [3, rows]: each row's maximum, the sum of exp(logit - maximum) and the target's logit, if it is
/// here. On the CPU, logits become exp(logits - maximum).
void statistics(const at::Tensor& logits, const Targets& targets, const at::Tensor& own) {
  at::Tensor max = own[0];
  if (logits.size(1) == 0) {
    max.fill_(-std::numeric_limits<double>::infinity());
  } else if (logits.is_cuda()) {
    cuda::logit_statistics(logits, targets.ids, targets.first, own);
  } else {
    at::amax_out(max, logits, {1});
    own[2].copy_(at::gather(logits, 1, targets.column).masked_fill_(targets.elsewhere, 0).squeeze(1));
    exponentials(logits, max, own[1]);
  }
}

/// softmax - onehot in the memory of the logits, as statistics() left them; max is this rank's maximum,
/// largest and sums are those of the whole vocabulary.
void gradient(const at::Tensor& logits, const Targets& targets, const at::Tensor& max,
              const at::Tensor& largest, const at::Tensor& sums) {
  if (logits.is_cuda()) return cuda::logit_gradient(logits, targets.ids, targets.first, largest, sums);
  const at::Tensor scale = (max - largest).exp_().div_(sums);
  const at::Tensor onehot = targets.elsewhere.logical_not().to(logits.scalar_type());
  logits.mul_(scale.unsqueeze(1)).scatter_add_(1, targets.column, onehot.neg_());
}

/// Overwrites logits [rows, columns of this rank] with the gradient that they get from the sum of the rows'
/// cross-entropies; returns that sum in fp64.
at::Tensor cross_entropy(const at::Tensor& logits, const Targets& targets, bool with_gradient,
                         comm::Group& tp) {
  // The softmax under this rank's columns (Milakov & Gimelshein 2018): the ranks' are put together
  // afterwards.
  const at::Tensor own = at::zeros({3, logits.size(0)}, logits.options().dtype(at_least_fp32(logits)));
  statistics(logits, targets, own);
  const at::Tensor all = at::empty({tp.size(), 3, logits.size(0)}, own.options());
  tp.all_gather(all, own);
  const at::Tensor largest = at::amax(all.select(1, 0), {0});
  const at::Tensor sums = (all.select(1, 1) * (all.select(1, 0) - largest).exp_()).sum(0);
  const at::Tensor losses = sums.log() + (largest - all.select(1, 2).sum(0));
  if (with_gradient && logits.size(1) > 0) gradient(logits, targets, own[0], largest, sums);
  return losses.sum(at::kDouble);
}

/// logits = softcap tanh(logits / softcap); returns the derivative, where it is asked for.
at::Tensor cap(at::Tensor& logits, double softcap, bool with_derivative) {
  logits.div_(softcap).tanh_();
  const at::Tensor derivative = with_derivative ? logits.square().neg_().add_(1) : at::Tensor();
  logits.mul_(softcap);
  return derivative;
}

struct Outcome {
  at::Tensor loss;
  at::Tensor hidden_grad, weight_grad;  // where asked for
};

Outcome chunk_by_chunk(const at::Tensor& hidden, const at::Tensor& weight, const Targets& targets,
                       std::int64_t chunks, double softcap, bool hidden_grad, bool weight_grad,
                       comm::Group& tp) {
  Outcome out;
  out.loss = at::zeros({}, hidden.options().dtype(at::kDouble));
  if (hidden_grad) out.hidden_grad = at::empty_like(hidden);
  const at::ScalarType sum_type = chunks > 1 ? at_least_fp32(hidden) : hidden.scalar_type();
  if (weight_grad) out.weight_grad = at::empty(weight.sizes(), weight.options().dtype(sum_type));
  GradientSum sum;
  if (weight_grad) sum.open(out.weight_grad);
  for (std::int64_t i = 0; i < chunks; ++i) {
    const Range rows = share(hidden.size(0), chunks, i);
    const auto part = [&](const at::Tensor& x) { return x.narrow(0, rows.begin, rows.size()); };
    at::Tensor logits = product(part(hidden), {weight}).to(type_of_logits(hidden));
    const bool with_gradient = hidden_grad || weight_grad;
    at::Tensor derivative;
    if (softcap > 0) derivative = cap(logits, softcap, with_gradient);
    out.loss.add_(cross_entropy(logits, targets.part(rows), with_gradient, tp));
    if (!with_gradient) continue;
    if (softcap > 0) logits.mul_(derivative);
    const at::Tensor grad = logits.to(hidden.scalar_type());
    if (hidden_grad) input_gradient(part(out.hidden_grad), grad, {weight});
    if (weight_grad) sum.add_product(grad.t(), part(hidden));
  }
  if (weight_grad) sum.complete();
  if (hidden_grad) tp.all_reduce(out.hidden_grad);
  return out;
}

}  // namespace

at::Tensor linear_cross_entropy(const at::Tensor& hidden, const Linear& layer, const at::Tensor& targets,
                                std::int64_t first, std::int64_t vocab, const comm::GroupPtr& tp,
                                std::int64_t chunk_bytes, double softcap) {
  const at::Tensor& weight = layer.weight;
  // Every rank cuts the rows alike, whatever its share of the vocabulary.
  const auto element_bytes =
      static_cast<std::int64_t>(c10::elementSize(type_of_logits(hidden))) * (softcap > 0 ? 2 : 1);
  const std::int64_t row_bytes = (vocab + tp->size() - 1) / tp->size() * element_bytes;
  const std::int64_t rows = std::max<std::int64_t>(1, chunk_bytes / row_bytes);
  const std::int64_t chunks = (hidden.size(0) + rows - 1) / rows;
  const bool for_hidden = records({hidden}), for_weight = records({weight});
  Outcome out;
  {
    const at::NoGradGuard no_grad;
    out = chunk_by_chunk(hidden.detach().contiguous(), weight.detach(),
                         targets_here(targets, first, weight.size(0)), chunks, softcap, for_hidden,
                         for_weight, *tp);
  }
  at::Tensor loss = out.loss.to(at_least_fp32(hidden));
  if (!for_hidden && !for_weight) return loss;
  out.loss.reset();
  return differentiable(
      "LinearCrossEntropy", loss, {hidden, weight},
      [out, sum = layer.sum, dtype = weight.scalar_type()](const at::Tensor& grad, const std::vector<bool>&) {
        if (out.hidden_grad.defined()) out.hidden_grad.mul_(grad);
        at::Tensor weight_grad;
        if (out.weight_grad.defined() && sum && sum->is_open()) {
          sum->add_scaled(out.weight_grad, grad);
        } else if (out.weight_grad.defined()) {
          weight_grad = out.weight_grad.mul_(grad).to(dtype);
        }
        return std::vector<at::Tensor>{out.hidden_grad, weight_grad};
      });
}

}  // namespace cornstarch::nn
