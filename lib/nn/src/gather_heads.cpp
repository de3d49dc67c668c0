#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "context_layout.h"

/// The ring_attn mode: each rank computes all heads of its queries over the keys of all tokens, which are
/// gathered a few heads at a time.
namespace cornstarch::nn {
namespace {

/// Pieces that the key/value heads are gathered in: the first cannot hide behind computation, and more of
/// them are more and smaller kernels.
constexpr std::int64_t kPieces = 2;

Range piece_of(std::int64_t kv_heads, std::int64_t piece) {
  return share(kv_heads, std::min(kPieces, kv_heads), piece);
}
std::int64_t pieces_of(std::int64_t kv_heads) { return std::min(kPieces, kv_heads); }

// Keys and values of some heads on their way from all ranks: [ranks x largest, 2, heads, d].
struct Gathering {
  at::Tensor mine, all;
  comm::WorkPtr work;
};

Gathering start_gathering(const ContextLayout& layout, const Qkv& qkv, Range range) {
  Gathering out;
  out.mine = at::zeros({layout.largest, 2, range.size(), qkv.k.size(2)}, qkv.k.options());
  out.mine.narrow(0, 0, qkv.k.size(0)).copy_(at::stack({heads(qkv.k, range), heads(qkv.v, range)}, 1));
  out.all = at::empty({layout.size() * layout.largest, 2, range.size(), qkv.k.size(2)}, qkv.k.options());
  out.work = layout.group->start_all_gather(out.all, out.mine);
  return out;
}

// Runs `body` over pieces of the key/value heads: their range, that of their query heads, and the keys and
// values [tokens, heads, d] of all tokens. The next piece is under way meanwhile.
template <typename Body>
void over_pieces(const ContextLayout& layout, const Qkv& qkv, Body body) {
  const std::int64_t kv_heads = qkv.k.size(1), group = qkv.q.size(1) / kv_heads;
  const std::int64_t pieces = pieces_of(kv_heads);
  Gathering next = start_gathering(layout, qkv, piece_of(kv_heads, 0));
  for (std::int64_t p = 0; p < pieces; ++p) {
    const Range range = piece_of(kv_heads, p);
    Gathering following;
    if (p + 1 < pieces) following = start_gathering(layout, qkv, piece_of(kv_heads, p + 1));
    const Gathering piece = std::exchange(next, std::move(following));
    piece.work->wait();
    const at::Tensor all = piece.all.index_select(0, layout.order);
    body(range, Range{range.begin * group, range.end * group}, all.select(1, 0), all.select(1, 1));
  }
}

// Gradients of keys and values on their way to the ranks that hold the tokens.
struct Scattering {
  Range range;
  at::Tensor all, mine;
  comm::WorkPtr work;
};

Scattering start_scattering(const ContextLayout& layout, Range range, const at::Tensor& dkv) {
  Scattering out;
  out.range = range;
  out.all = at::zeros({layout.size() * layout.largest, 2, dkv.size(2), dkv.size(3)}, dkv.options());
  out.all.index_copy_(0, layout.order, dkv);
  out.mine = at::empty({layout.largest, 2, dkv.size(2), dkv.size(3)}, dkv.options());
  out.work = layout.group->start_reduce_scatter(out.mine, out.all);
  return out;
}

}  // namespace

Forward gather_heads_forward(const ContextLayout& layout, const Qkv& qkv) {
  const Attended all = nothing_attended(qkv.q);
  over_pieces(layout, qkv, [&](Range, Range queries, const at::Tensor& k, const at::Tensor& v) {
    layout.local[0].forward(heads(qkv.q, queries), k, v, qkv.softcap,
                            {heads(all.out, queries), heads(all.lse, queries)});
  });
  const Saved kept = saved(qkv, all);
  return {kept.all.out, kept};
}

Qkv gather_heads_backward(const ContextLayout& layout, const Saved& saved, const at::Tensor& grad) {
  const Qkv& qkv = saved.qkv;
  const Qkv grads = no_gradients(qkv);
  std::optional<Scattering> scattering;  // one piece at a time, beside the computation of the next
  const auto arrive = [&] {
    if (!scattering) return;
    scattering->work->wait();
    const at::Tensor mine = scattering->mine.narrow(0, 0, qkv.k.size(0));
    heads(grads.k, scattering->range).copy_(mine.select(1, 0));
    heads(grads.v, scattering->range).copy_(mine.select(1, 1));
    scattering.reset();
  };
  over_pieces(layout, qkv, [&](Range range, Range queries, const at::Tensor& k, const at::Tensor& v) {
    const at::Tensor dkv = at::zeros({k.size(0), 2, k.size(1), k.size(2)}, grads.k.options());
    layout.local[0].backward(heads(grad, queries), heads(qkv.q, queries), k, v, qkv.softcap,
                             {heads(saved.all.out, queries), heads(saved.all.lse, queries)},
                             heads(grads.q, queries), dkv.select(1, 0), dkv.select(1, 1));
    arrive();
    scattering = start_scattering(layout, range, dkv);
  });
  arrive();
  return grads;
}

}  // namespace cornstarch::nn
