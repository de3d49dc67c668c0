#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "context_layout.h"

/// The all_to_all mode: each rank computes some heads over the whole sequence.
namespace cornstarch::nn {
namespace {

using Tensors = std::vector<at::Tensor>;

// Heads of rank `part` of x [n, heads, d].
at::Tensor share_of(const at::Tensor& x, int part, int parts) {
  const std::int64_t heads = x.size(1) / parts;
  return x.narrow(1, part * heads, heads);
}

// sends[r] to rank r of the group and receives[r] from it.
void exchange(const ContextLayout& layout, const Tensors& sends, const Tensors& receives) {
  std::vector<comm::WorkPtr> work;
  for (int r = 0; r < layout.size(); ++r) {
    const auto i = static_cast<std::size_t>(r);
    if (r == layout.rank()) {
      receives[i].copy_(sends[i]);
      continue;
    }
    const int peer = layout.world_rank(r);
    if (receives[i].numel() > 0)
      work.push_back(layout.comm->receive(receives[i], peer, comm::Lane::context, "attention heads"));
    if (sends[i].numel() > 0)
      work.push_back(layout.comm->send(sends[i], peer, comm::Lane::context, "attention heads"));
  }
  for (const auto& w : work) w->wait();
}

// xs [n, heads, d] of this rank's tokens -> this rank's heads of them, side by side, of all tokens in
// ascending order.
at::Tensor gather_sequence(const ContextLayout& layout, const Tensors& xs) {
  Tensors sends;
  for (int r = 0; r < layout.size(); ++r) {
    Tensors parts;
    for (const at::Tensor& x : xs) parts.push_back(share_of(x, r, layout.size()));
    sends.push_back(at::cat(parts, 1).contiguous());
  }
  const at::Tensor all =
      at::empty({layout.order.size(0), sends[0].size(1), sends[0].size(2)}, xs[0].options());
  exchange(layout, sends, all.split_with_sizes(layout.counts));
  return all.index_select(0, layout.order);
}

// The reverse: this rank's heads of xs of all tokens -> all heads of each of xs, of this rank's tokens.
Tensors scatter_sequence(const ContextLayout& layout, const Tensors& xs) {
  const at::Tensor all = at::cat(xs, 1).index_select(0, layout.inverse);
  Tensors receives;
  for (int r = 0; r < layout.size(); ++r)
    receives.push_back(at::empty({layout.count(layout.rank()), all.size(1), all.size(2)}, all.options()));
  exchange(layout, all.split_with_sizes(layout.counts), receives);
  Tensors out;
  std::int64_t first = 0;
  for (const at::Tensor& x : xs) {
    Tensors parts;
    for (const at::Tensor& received : receives) parts.push_back(received.narrow(1, first, x.size(1)));
    out.push_back(at::cat(parts, 1));
    first += x.size(1);
  }
  return out;
}

}  // namespace

Forward scatter_heads_forward(const ContextLayout& layout, const Qkv& qkv) {
  const at::Tensor all = gather_sequence(layout, {qkv.q, qkv.k, qkv.v});
  const std::int64_t heads = qkv.q.size(1) / layout.size(), kv_heads = qkv.k.size(1) / layout.size();
  const Forward mine = local_forward(layout, {all.narrow(1, 0, heads), all.narrow(1, heads, kv_heads),
                                              all.narrow(1, heads + kv_heads, kv_heads), qkv.softcap});
  return {scatter_sequence(layout, {mine.out})[0], mine.saved};
}

Qkv scatter_heads_backward(const ContextLayout& layout, const Saved& saved, const at::Tensor& grad) {
  const Qkv mine = local_backward(layout, saved, gather_sequence(layout, {grad}));
  const at::ScalarType dtype = grad.scalar_type();
  const Tensors all = scatter_sequence(layout, {mine.q.to(dtype), mine.k.to(dtype), mine.v.to(dtype)});
  return {all[0], all[1], all[2]};
}

}  // namespace cornstarch::nn
