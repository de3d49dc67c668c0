#include "math_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "local_attention.h"

namespace cornstarch::nn {
namespace {

/// [b, n, heads, d] -> [b, kv_heads, heads / kv_heads, n, d], in the type in which attention is summed up.
at::Tensor by_kv_head(const at::Tensor& x, std::int64_t kv_heads) {
  return x.to(sum_type(x)).unflatten(2, {kv_heads, x.size(2) / kv_heads}).permute({0, 2, 3, 1, 4});
}

/// The way back.
at::Tensor by_token(const at::Tensor& x) { return x.permute({0, 3, 1, 2, 4}).flatten(2, 3); }

/// [b, kv_heads, 1, m, d]
at::Tensor keys(const at::Tensor& x) { return by_kv_head(x, x.size(2)); }

std::int64_t queries_at_a_time(const at::Tensor& q, const at::Tensor& k, std::int64_t max_scores) {
  return std::max<std::int64_t>(1, max_scores / std::max<std::int64_t>(1, q.size(0) * q.size(2) * k.size(1)));
}

/// q [b, g, r, n, d] -> [b, g, r, n, m]
at::Tensor scores(const at::Tensor& q, const at::Tensor& k, double softcap) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(4)));
  at::Tensor out = at::matmul(q * scale, k.transpose(-1, -2));
  return softcap > 0 ? out.div_(softcap).tanh_().mul_(softcap) : out;
}

/// Scores of which the first query is query `first`, hidden keys at -inf.
at::Tensor masked(const at::Tensor& scores, std::int64_t first, bool causal) {
  if (!causal) return scores;
  const auto integers = scores.options().dtype(at::kLong);
  const at::Tensor query = at::arange(first, first + scores.size(3), integers).unsqueeze(1);
  const at::Tensor hidden = at::arange(scores.size(4), integers).unsqueeze(0).gt(query);
  return scores.masked_fill(hidden, -std::numeric_limits<double>::infinity());
}

}  // namespace

Attended math_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal,
                      double softcap, std::int64_t max_scores) {
  const at::Tensor wide_q = by_kv_head(q, k.size(2)), wide_k = keys(k), wide_v = keys(v);
  std::vector<at::Tensor> outs, lses;
  const std::int64_t step = queries_at_a_time(q, k, max_scores);
  for (std::int64_t first = 0; first < q.size(1); first += step) {
    const std::int64_t n = std::min(step, q.size(1) - first);
    const at::Tensor s = masked(scores(wide_q.narrow(3, first, n), wide_k, softcap), first, causal);
    const at::Tensor lse = at::logsumexp(s, {4}, /*keepdim=*/true);
    outs.push_back(at::matmul((s - lse).exp_(), wide_v));
    lses.push_back(lse);
  }
  return {by_token(at::cat(outs, 3)).to(q.scalar_type()), by_token(at::cat(lses, 3)).squeeze(3)};
}

std::array<at::Tensor, 3> math_backward(const at::Tensor& grad, const at::Tensor& q, const at::Tensor& k,
                                        const at::Tensor& v, const Attended& all, bool causal, double softcap,
                                        std::int64_t max_scores) {
  const std::int64_t kv_heads = k.size(2);
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(3)));
  const at::Tensor wide_grad = by_kv_head(grad, kv_heads), wide_q = by_kv_head(q, kv_heads);
  const at::Tensor wide_k = keys(k), wide_v = keys(v);
  const at::Tensor lse = by_kv_head(all.lse.unsqueeze(3), kv_heads);
  const at::Tensor delta = (wide_grad * by_kv_head(all.out, kv_heads)).sum(4, /*keepdim=*/true);
  const at::Tensor dk = at::zeros_like(wide_k), dv = at::zeros_like(wide_v);
  std::vector<at::Tensor> dqs;
  const std::int64_t step = queries_at_a_time(q, k, max_scores);
  for (std::int64_t first = 0; first < q.size(1); first += step) {
    const std::int64_t n = std::min(step, q.size(1) - first);
    const auto some = [&](const at::Tensor& x) { return x.narrow(3, first, n); };
    const at::Tensor s = scores(some(wide_q), wide_k, softcap);
    const at::Tensor slope = softcap > 0 ? 1 - (s / softcap).square_() : at::Tensor();
    const at::Tensor p = masked(s, first, causal).sub_(some(lse)).exp_();
    const at::Tensor dp = at::matmul(some(wide_grad), wide_v.transpose(-1, -2));
    const at::Tensor ds = dp.sub_(some(delta)).mul_(p).mul_(scale);
    if (softcap > 0) ds.mul_(slope);
    dqs.push_back(at::matmul(ds, wide_k));
    dk.add_(at::matmul(ds.transpose(-1, -2), some(wide_q)).sum(2, /*keepdim=*/true));
    dv.add_(at::matmul(p.transpose(-1, -2), some(wide_grad)).sum(2, /*keepdim=*/true));
  }
  const auto like = [](const at::Tensor& x, const at::Tensor& of) {
    return by_token(x).to(of.scalar_type());
  };
  return {like(at::cat(dqs, 3), q), like(dk, k), like(dv, v)};
}

}  // namespace cornstarch::nn
