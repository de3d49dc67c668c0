#include "cornstarch/nn/context_attention.h"

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <numeric>

#include "context_layout.h"
#include "cornstarch/base/text.h"
#include "cornstarch/nn/layers.h"
#include "cornstarch/nn/upload.h"
#include "differentiable.h"

namespace cornstarch::nn {
namespace {

using config::SpMode;
using plan::TokenShares;

struct Method {
  Forward (*forward)(const ContextLayout&, const Qkv&);
  Qkv (*backward)(const ContextLayout&, const Saved&, const at::Tensor&);
};

Method method_of(const ContextLayout& layout) {
  if (layout.size() == 1) return {local_forward, local_backward};
  switch (layout.mode) {
    case SpMode::all_to_all:
      return {scatter_heads_forward, scatter_heads_backward};
    case SpMode::ring_attn:
      return {gather_heads_forward, gather_heads_backward};
    case SpMode::ring:
      return {ring_forward, ring_backward};
  }
  throw Failure(ExitCode::internal, "unknown mode of context parallelism");
}

/// The tokens of all ranks, ascending, and for each where it lies if every rank's begin `stride` after the
/// one's before it (0: right behind them).
struct Union {
  std::vector<std::int64_t> tokens;
  std::vector<std::int64_t> places;
};
Union union_of(const TokenShares& shares, std::int64_t stride) {
  std::vector<std::pair<std::int64_t, std::int64_t>> all;
  std::int64_t begin = 0;
  for (const auto& share : shares) {
    std::int64_t place = begin;
    for (const std::int64_t token : share) all.emplace_back(token, place++);
    begin += stride > 0 ? stride : static_cast<std::int64_t>(share.size());
  }
  std::sort(all.begin(), all.end());
  Union out;
  for (const auto& [token, place] : all) {
    out.tokens.push_back(token);
    out.places.push_back(place);
  }
  return out;
}

std::vector<std::int64_t> inverse_of(const std::vector<std::int64_t>& permutation) {
  std::vector<std::int64_t> out(permutation.size());
  for (std::size_t i = 0; i < permutation.size(); ++i)
    out[static_cast<std::size_t>(permutation[i])] = static_cast<std::int64_t>(i);
  return out;
}

at::Tensor heads_of(const at::Tensor& x, std::int64_t head_dim) {
  return x.detach().view({x.size(0), x.size(1) / head_dim, head_dim});
}

void check(const at::Tensor& q, const at::Tensor& k, std::int64_t head_dim, const ContextLayout& layout) {
  const std::int64_t heads = q.size(1) / head_dim, kv_heads = k.size(1) / head_dim, n = layout.size();
  if (q.size(0) != layout.count(layout.rank()))
    throw Failure(ExitCode::internal, cat("context attention over ", layout.count(layout.rank()),
                                          " tokens of this rank, got ", q.size(0)));
  if (n > 1 && layout.mode == SpMode::all_to_all && (heads % n != 0 || kv_heads % n != 0))
    throw Failure(ExitCode::internal, cat("all_to_all over ", n, " ranks cannot share out ", heads,
                                          " heads and ", kv_heads, " key/value heads"));
}

// ATen's own attention where the pattern is that of whole rows of equal length and one rank has them all.
const Tile* whole_rows(const ContextLayout& layout) {
  return layout.size() == 1 ? layout.local[0].only_tile(layout.count(0)) : nullptr;
}

at::Tensor attend_rows(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t head_dim,
                       const Tile& tile, double softcap) {
  const auto rows = [&](const at::Tensor& x) { return x.view({tile.count, -1, x.size(1)}); };
  return attention(rows(q), rows(k), rows(v), head_dim, tile.causal, softcap).view(q.sizes());
}

}  // namespace

ContextLayoutPtr context_layout(const plan::TokenLayout& tokens, std::int64_t window, SpMode mode,
                                comm::CommunicatorPtr comm, comm::GroupPtr group) {
  const plan::AttentionPattern& pattern = tokens.pattern(window);
  const TokenShares& shares = tokens.shares();
  auto layout = std::make_shared<ContextLayout>();
  layout->mode = mode;
  layout->comm = std::move(comm);
  layout->group = std::move(group);
  for (const auto& share : shares) layout->counts.push_back(static_cast<std::int64_t>(share.size()));
  layout->largest = *std::max_element(layout->counts.begin(), layout->counts.end());
  const auto& mine = tokens.held(layout->rank());
  const auto add = [&](const std::vector<std::int64_t>& queries, const std::vector<std::int64_t>& keys) {
    layout->local.emplace_back(pattern, queries, keys);
  };
  if (layout->size() == 1) {
    add(mine, mine);
  } else if (mode == SpMode::ring) {
    for (const auto& theirs : shares) add(mine, theirs);
  } else {
    const bool scatters = mode == SpMode::all_to_all;
    const Union all = union_of(shares, scatters ? 0 : layout->largest);
    add(scatters ? all.tokens : mine, all.tokens);
    layout->order = at::tensor(all.places, at::kLong);
    if (scatters) layout->inverse = at::tensor(inverse_of(all.places), at::kLong);
  }
  return layout;
}

ContextLayoutPtr on_device(const ContextLayoutPtr& layout, at::Device device) {
  auto out = std::make_shared<ContextLayout>(*layout);
  for (LocalAttention& local : out->local) local.move_to(device);
  out->order = upload(layout->order, device);
  out->inverse = upload(layout->inverse, device);
  return out;
}

at::Tensor context_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             std::int64_t head_dim, const ContextLayoutPtr& layout, double softcap) {
  check(q, k, head_dim, *layout);
  if (const Tile* rows = whole_rows(*layout)) return attend_rows(q, k, v, head_dim, *rows, softcap);
  const Method method = method_of(*layout);
  const auto [out, saved] =
      method.forward(*layout, {heads_of(q, head_dim), heads_of(k, head_dim), heads_of(v, head_dim), softcap});
  at::Tensor flat = out.reshape(q.sizes());
  if (!records({q, k, v})) return flat;
  return differentiable(
      "ContextAttention", flat, {q, k, v},
      [=, saved = saved](const at::Tensor& grad, const std::vector<bool>&) {
        const Qkv grads = method.backward(*layout, saved, heads_of(grad.contiguous(), head_dim));
        const auto like = [](const at::Tensor& x, const at::Tensor& of) {
          return x.to(of.scalar_type()).reshape({x.size(0), x.size(1) * x.size(2)});
        };
        return std::vector<at::Tensor>{like(grads.q, grad), like(grads.k, grad), like(grads.v, grad)};
      });
}

Qkv no_gradients(const Qkv& qkv) {
  const auto zeros = [](const at::Tensor& x) { return at::zeros(x.sizes(), x.options().dtype(sum_type(x))); };
  return {zeros(qkv.q), zeros(qkv.k), zeros(qkv.v)};
}

Saved saved(const Qkv& qkv, const Attended& all) { return {qkv, {all.out.to(qkv.q.scalar_type()), all.lse}}; }

namespace {

// x [n, heads, d] as rows of a tile that is all there is: [count, n / count, heads, d].
at::Tensor rows_of(const at::Tensor& x, const Tile& tile) {
  return x.unflatten(0, {tile.count, tile.queries.size()});
}

}  // namespace

Forward local_forward(const ContextLayout& layout, const Qkv& qkv) {
  if (const Tile* tile = layout.local[0].only_tile(qkv.q.size(0))) {
    const Attended all = flash_forward(rows_of(qkv.q, *tile), rows_of(qkv.k, *tile), rows_of(qkv.v, *tile),
                                       tile->causal, qkv.softcap);
    const Attended flat{all.out.flatten(0, 1), all.lse.flatten(0, 1)};
    return {flat.out, {qkv, flat}};
  }
  const Attended all = nothing_attended(qkv.q);
  layout.local[0].forward(qkv.q, qkv.k, qkv.v, qkv.softcap, all);
  const Saved kept = saved(qkv, all);
  return {kept.all.out, kept};
}

Qkv local_backward(const ContextLayout& layout, const Saved& saved, const at::Tensor& grad) {
  if (const Tile* tile = layout.local[0].only_tile(saved.qkv.q.size(0))) {
    const auto rows = [&](const at::Tensor& x) { return rows_of(x, *tile); };
    const auto [dq, dk, dv] =
        flash_backward(rows(grad), rows(saved.qkv.q), rows(saved.qkv.k), rows(saved.qkv.v),
                       {rows(saved.all.out), rows(saved.all.lse)}, tile->causal, saved.qkv.softcap);
    return {dq.flatten(0, 1), dk.flatten(0, 1), dv.flatten(0, 1)};
  }
  const Qkv& qkv = saved.qkv;
  const Qkv grads = no_gradients(qkv);
  layout.local[0].backward(grad, qkv.q, qkv.k, qkv.v, qkv.softcap, saved.all, grads.q, grads.k, grads.v);
  return grads;
}

}  // namespace cornstarch::nn
