#pragma once

#include <ATen/core/Tensor.h>

#include "cornstarch/base/checked.h"
#include "cornstarch/comm/communicator.h"

/// The seams of tensor parallelism as differentiable functions. Every rank of the group calls them in the
/// same order; so does backward, since the graphs are alike. In a group of one each of them is a plain
/// operation.
namespace cornstarch::nn {

/// The same x on every rank, about to feed column-parallel layers: gives x; sums its gradients over tp.
at::Tensor copy_to_tp(const at::Tensor& x, const comm::GroupPtr& tp);

/// Partial sums on every rank, as row-parallel layers give them: adds them up; passes the gradient on.
/// Overwrites x, which must be the result of an operation that does not need it again (linear, convolution,
/// embedding).
at::Tensor reduce_from_tp(const at::Tensor& x, const comm::GroupPtr& tp);

/// Part `part` of dimension `dim` on every rank: gives all `size` of it, on every rank; takes the part's
/// gradient.
at::Tensor gather_from_tp(const at::Tensor& x, std::int64_t dim, Range part, std::int64_t size,
                          const comm::GroupPtr& tp);

/// The mirror of gather_from_tp: takes a part of x, which is the same on every rank; gathers the parts'
/// gradients.
at::Tensor split_to_tp(const at::Tensor& x, std::int64_t dim, Range part, const comm::GroupPtr& tp);

/// rms_norm over rows of `size` columns, of which each rank has its own in x [..., columns] and weight
/// [columns].
at::Tensor split_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, double offset,
                          std::int64_t size, const comm::GroupPtr& tp);

/// Rows of an embedding table that is split by rows, this rank holding weight = table[first:]. Zeros for
/// negative ids.
/// Lookups of row `padding_idx` of the table (-1: none) give it no gradient.
at::Tensor vocab_parallel_embedding(const at::Tensor& ids, const at::Tensor& weight, std::int64_t first,
                                    std::int64_t padding_idx, const comm::GroupPtr& tp);

/// The column with the largest logit of each row (the first of equals), on every rank.
at::Tensor vocab_parallel_argmax(const at::Tensor& logits, std::int64_t first, const comm::GroupPtr& tp);

}  // namespace cornstarch::nn
