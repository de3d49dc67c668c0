#include "cornstarch/nn/sequence_parallel.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <vector>

#include "cornstarch/base/checked.h"
#include "differentiable.h"

namespace cornstarch::nn {
namespace {

using Needed = const std::vector<bool>&;

/// The rows of every rank as the collectives take them: parts of equal size, of which the share comes first.
struct Parts {
  std::int64_t rows;
  int ranks;

  std::int64_t size() const { return (rows + ranks - 1) / ranks; }
  bool ragged() const { return rows % ranks != 0; }
  Range of(int rank) const { return share(rows, ranks, rank); }

  /// Copies every share between all rows and padded parts.
  void pack(const at::Tensor& all, const at::Tensor& padded) const {
    for (int r = 0; r < ranks; ++r) padded.narrow(0, r * size(), of(r).size()).copy_(take(all, r));
  }
  void unpack(const at::Tensor& padded, const at::Tensor& all) const {
    for (int r = 0; r < ranks; ++r) take(all, r).copy_(padded.narrow(0, r * size(), of(r).size()));
  }
  at::Tensor take(const at::Tensor& all, int rank) const {
    return all.narrow(0, of(rank).begin, of(rank).size());
  }
};

at::Tensor with_rows(const at::Tensor& x, std::int64_t rows) {
  return at::empty({rows, x.size(1)}, x.options());
}

at::Tensor gathered(const at::Tensor& x, std::int64_t rows, comm::Group& tp) {
  const Parts parts{rows, tp.size()};
  at::Tensor part = x.contiguous();
  if (part.size(0) < parts.size()) {
    part = at::zeros({parts.size(), x.size(1)}, x.options());
    part.narrow(0, 0, x.size(0)).copy_(x);
  }
  at::Tensor padded = with_rows(x, parts.size() * tp.size());
  tp.all_gather(padded, part);
  if (!parts.ragged()) return padded;
  const at::Tensor all = with_rows(x, rows);
  parts.unpack(padded, all);
  return all;
}

at::Tensor scattered(const at::Tensor& x, comm::Group& tp) {
  const Parts parts{x.size(0), tp.size()};
  at::Tensor padded = x.contiguous();
  if (parts.ragged()) {
    padded = at::zeros({parts.size() * tp.size(), x.size(1)}, x.options());
    parts.pack(x, padded);
  }
  const at::Tensor part = with_rows(x, parts.size());
  tp.reduce_scatter(part, padded);
  return part.narrow(0, 0, parts.of(tp.rank()).size()).detach();
}

at::Tensor own_rows(const at::Tensor& x, comm::Group& tp) {
  return Parts{x.size(0), tp.size()}.take(x, tp.rank());
}

}  // namespace

at::Tensor gather_rows(const at::Tensor& x, std::int64_t rows, const comm::GroupPtr& tp) {
  at::Tensor all = gathered(x.detach(), rows, *tp);
  if (!records({x})) return all;
  return differentiable("GatherRows", all, {x}, [tp](const at::Tensor& grad, Needed) {
    return std::vector<at::Tensor>{scattered(grad, *tp)};
  });
}

at::Tensor scatter_rows(const at::Tensor& x, const comm::GroupPtr& tp) {
  at::Tensor mine = scattered(x.detach(), *tp);
  if (!records({x})) return mine;
  return differentiable("ScatterRows", mine, {x}, [tp, rows = x.size(0)](const at::Tensor& grad, Needed) {
    return std::vector<at::Tensor>{gathered(grad, rows, *tp)};
  });
}

at::Tensor split_rows(const at::Tensor& x, const comm::GroupPtr& tp) {
  at::Tensor mine = own_rows(x.detach(), *tp).clone();
  if (!records({x})) return mine;
  return differentiable("SplitRows", mine, {x}, [tp, rows = x.size(0)](const at::Tensor& grad, Needed) {
    return std::vector<at::Tensor>{gathered(grad, rows, *tp)};
  });
}

at::Tensor join_rows(const at::Tensor& x, std::int64_t rows, const comm::GroupPtr& tp) {
  at::Tensor all = gathered(x.detach(), rows, *tp);
  if (!records({x})) return all;
  return differentiable("JoinRows", all, {x}, [tp](const at::Tensor& grad, Needed) {
    return std::vector<at::Tensor>{own_rows(grad, *tp)};
  });
}

}  // namespace cornstarch::nn
