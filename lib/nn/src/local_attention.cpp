#include "local_attention.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "cornstarch/nn/upload.h"

namespace cornstarch::nn {
namespace {

using plan::Stretch;

// Equal stretches in equal steps.
struct Run {
  Stretch first, last;
  std::int64_t count = 1, query_step = 0, key_step = 0;
};

bool congruent(const Stretch& a, const Stretch& b) {
  return a.causal == b.causal && a.sliding == b.sliding && a.queries.size() == b.queries.size() &&
         a.keys.size() == b.keys.size();
}

// Takes `next` into the run, if it goes on in equal steps and no two share a key within a tile: those that
// slide may share the keys of two triangles.
bool join(Run& run, const Stretch& next) {
  if (!congruent(run.last, next)) return false;
  const std::int64_t query_step = next.queries.begin - run.last.queries.begin;
  const std::int64_t key_step = next.keys.begin - run.last.keys.begin;
  const bool triangles = next.causal && next.sliding && next.common().size() == 1;
  if (key_step < (triangles ? next.queries.size() : next.keys.size())) return false;
  if (run.count > 1 && (query_step != run.query_step || key_step != run.key_step)) return false;
  run.query_step = query_step;
  run.key_step = key_step;
  run.last = next;
  ++run.count;
  return true;
}

// A kernel's causal mask is that of a square. So what all queries see is a call of its own, and so is each
// triangle: that of the end, with its diagonal, and that of the beginning, which is one if all is reversed.
void add_tiles(const Run& run, std::vector<Tile>& tiles) {
  const Stretch& s = run.first;
  const auto add = [&](Range queries, Range keys, bool causal, bool reversed, bool first) {
    if (keys.size() > 0)
      tiles.push_back({queries, keys, causal, reversed, run.count, run.query_step, run.key_step, first});
  };
  const Range common = s.common();
  const Range rectangle = {common.begin, s.causal ? common.end - 1 : common.end};
  add(s.queries, rectangle, false, false, true);
  if (s.causal) add(s.queries, {rectangle.end, s.keys.end}, true, false, rectangle.size() == 0);
  add({s.queries.begin, s.queries.end - 1}, {s.keys.begin, common.begin}, true, true, false);
}

std::vector<Tile> tiles_of(const std::vector<Stretch>& stretches) {
  std::vector<Tile> tiles;
  std::optional<Run> open;
  for (const Stretch& stretch : stretches) {
    if (open && join(*open, stretch)) continue;
    if (open) add_tiles(*open, tiles);
    open = Run{stretch, stretch};
  }
  if (open) add_tiles(*open, tiles);
  return tiles;
}

// Calls of [count, rows, ...] in the order of a tile.
at::Tensor ordered(const at::Tensor& x, const Tile& tile) { return tile.reversed ? x.flip(1) : x; }

// The rows of x [n, ...] that the calls of a tile take: [count, rows, ...], a view.
at::Tensor rows_of(const at::Tensor& x, Range rows, std::int64_t count, std::int64_t step) {
  if (count == 1) return x.narrow(0, rows.begin, rows.size()).unsqueeze(0);
  return x.narrow(0, rows.begin, (count - 1) * step + rows.size())
      .unfold(0, rows.size(), step)
      .movedim(-1, 1);
}
at::Tensor queries_of(const at::Tensor& x, const Tile& tile) {
  return rows_of(x, tile.queries, tile.count, tile.query_step);
}
at::Tensor keys_of(const at::Tensor& x, const Tile& tile) {
  return rows_of(x, tile.keys, tile.count, tile.key_step);
}

// (out, lse) of two sets of keys -> that of both; of the latter where there is nothing before it.
void merge(const Attended& to, const Attended& more, bool nothing_before) {
  if (nothing_before) {
    to.out.copy_(more.out);
    to.lse.copy_(more.lse);
    return;
  }
  const at::Tensor total = at::logaddexp(to.lse, more.lse);
  to.out.mul_((to.lse - total).exp_().unsqueeze(-1));
  to.out.addcmul_(more.out.to(to.out.scalar_type()), (more.lse - total).exp_().unsqueeze(-1));
  to.lse.copy_(total);
}

at::Tensor index(const std::optional<std::vector<std::int64_t>>& rows) {
  return rows ? at::tensor(*rows, at::kLong) : at::Tensor();
}

at::Tensor select(const at::Tensor& x, const at::Tensor& rows) {
  return rows.defined() ? x.index_select(0, rows) : x;
}

// Runs `body` on ranges of query heads and of the key/value heads they see. A thread takes its heads through
// all tiles, where they divide evenly: threads that meet at each of many small operations wait for the
// slowest each time.
template <typename Body>
void over_heads(const at::Tensor& q, const at::Tensor& k, Body body) {
  const std::int64_t kv_heads = k.size(1), group = q.size(1) / kv_heads;
  const auto range = [&](std::int64_t begin, std::int64_t end) {
    body(Range{begin * group, end * group}, Range{begin, end});
  };
  if (k.is_cpu() && kv_heads % at::get_num_threads() == 0)
    at::parallel_for(0, kv_heads, 1, range);
  else
    range(0, kv_heads);
}

}  // namespace

at::Tensor heads(const at::Tensor& x, Range range) { return x.narrow(1, range.begin, range.size()); }

at::ScalarType sum_type(const at::Tensor& x) { return x.element_size() < 4 ? at::kFloat : x.scalar_type(); }

Attended nothing_attended(const at::Tensor& q) {
  const auto options = q.options().dtype(sum_type(q));
  return {at::zeros(q.sizes(), options),
          at::full({q.size(0), q.size(1)}, -std::numeric_limits<double>::infinity(), options)};
}

LocalAttention::LocalAttention(const plan::AttentionPattern& pattern,
                               const std::vector<std::int64_t>& queries,
                               const std::vector<std::int64_t>& keys) {
  for (const plan::AttentionPart& part : plan::attention_parts(pattern, queries, keys))
    parts_.push_back({index(part.queries), index(part.keys), tiles_of(part.stretches)});
}

void LocalAttention::move_to(at::Device device) {
  for (Part& part : parts_) {
    part.queries = upload(part.queries, device);
    part.keys = upload(part.keys, device);
  }
}

void LocalAttention::forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double softcap,
                             const Attended& to, bool fresh) const {
  over_heads(q, k, [&](Range mine, Range theirs) {
    forward_heads(heads(q, mine), heads(k, theirs), heads(v, theirs), softcap,
                  {heads(to.out, mine), heads(to.lse, mine)}, fresh);
  });
}

void LocalAttention::backward(const at::Tensor& grad, const at::Tensor& q, const at::Tensor& k,
                              const at::Tensor& v, double softcap, const Attended& all, const at::Tensor& dq,
                              const at::Tensor& dk, const at::Tensor& dv) const {
  over_heads(q, k, [&](Range mine, Range theirs) {
    backward_heads(heads(grad, mine), heads(q, mine), heads(k, theirs), heads(v, theirs), softcap,
                   {heads(all.out, mine), heads(all.lse, mine)}, heads(dq, mine), heads(dk, theirs),
                   heads(dv, theirs));
  });
}

void LocalAttention::forward_heads(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                   double softcap, const Attended& to, bool fresh) const {
  for (const Part& part : parts_) {
    const at::Tensor pq = select(q, part.queries), pk = select(k, part.keys), pv = select(v, part.keys);
    const Attended mine{select(to.out, part.queries), select(to.lse, part.queries)};
    for (const Tile& tile : part.tiles) {
      const Attended more =
          flash_forward(ordered(queries_of(pq, tile), tile), ordered(keys_of(pk, tile), tile),
                        ordered(keys_of(pv, tile), tile), tile.causal, softcap);
      merge({queries_of(mine.out, tile), queries_of(mine.lse, tile)},
            {ordered(more.out, tile), ordered(more.lse, tile)}, fresh && tile.first);
    }
    if (!part.queries.defined()) continue;
    to.out.index_copy_(0, part.queries, mine.out);
    to.lse.index_copy_(0, part.queries, mine.lse);
  }
}

void LocalAttention::backward_heads(const at::Tensor& grad, const at::Tensor& q, const at::Tensor& k,
                                    const at::Tensor& v, double softcap, const Attended& all,
                                    const at::Tensor& dq, const at::Tensor& dk, const at::Tensor& dv) const {
  for (const Part& part : parts_) {
    const at::Tensor pg = select(grad, part.queries), pq = select(q, part.queries);
    const Attended pa{select(all.out, part.queries), select(all.lse, part.queries)};
    const at::Tensor pk = select(k, part.keys), pv = select(v, part.keys);
    const bool gathers = part.queries.defined();
    const at::Tensor pdq = gathers ? at::zeros(pq.sizes(), dq.options()) : dq;
    const at::Tensor pdk = gathers ? at::zeros(pk.sizes(), dk.options()) : dk;
    const at::Tensor pdv = gathers ? at::zeros(pv.sizes(), dv.options()) : dv;
    for (const Tile& tile : part.tiles) {
      const auto queries = [&](const at::Tensor& x) { return ordered(queries_of(x, tile), tile); };
      const auto keys = [&](const at::Tensor& x) { return ordered(keys_of(x, tile), tile); };
      const auto [tq, tk, tv] = flash_backward(queries(pg), queries(pq), keys(pk), keys(pv),
                                               {queries(pa.out), queries(pa.lse)}, tile.causal, softcap);
      queries_of(pdq, tile).add_(ordered(tq, tile));
      keys_of(pdk, tile).add_(ordered(tk, tile));
      keys_of(pdv, tile).add_(ordered(tv, tile));
    }
    if (!gathers) continue;
    dq.index_add_(0, part.queries, pdq);
    dk.index_add_(0, part.keys, pdk);
    dv.index_add_(0, part.keys, pdv);
  }
}

const Tile* LocalAttention::only_tile(std::int64_t queries) const {
  if (parts_.size() != 1 || parts_[0].queries.defined() || parts_[0].tiles.size() != 1) return nullptr;
  const Tile& tile = parts_[0].tiles[0];
  const bool whole =
      tile.queries == tile.keys && tile.queries.size() * tile.count == queries &&
      (tile.count == 1 || (tile.query_step == tile.queries.size() && tile.key_step == tile.queries.size()));
  return whole ? &tile : nullptr;
}

}  // namespace cornstarch::nn
