#pragma once

#include <ATen/core/Tensor.h>

#include "cornstarch/comm/communicator.h"

/// The seams of tensor parallelism where, between the products, each rank holds its share (base/checked.h) of
/// the rows [rows, h] instead of all of them (Korthikanti et al. 2022, "Reducing activation recomputation in
/// large transformer models"). Any number of rows: shares are padded within a collective only. The bytes on
/// the wire are those of copy_to_tp and reduce_from_tp.
namespace cornstarch::nn {

/// A share, about to feed column-parallel layers: gives all rows; backward sums up the ranks' gradients and
/// gives each rank its share.
at::Tensor gather_rows(const at::Tensor& x, std::int64_t rows, const comm::GroupPtr& tp);

/// Partial sums of all rows, as row-parallel layers give them: adds them up and gives each rank its share;
/// backward gathers. The result is a tensor of its own.
at::Tensor scatter_rows(const at::Tensor& x, const comm::GroupPtr& tp);

/// From rows that are the same on every rank to shares, in memory of their own; backward gathers.
at::Tensor split_rows(const at::Tensor& x, const comm::GroupPtr& tp);

/// And back: all rows on every rank, to be used alike; backward takes the share.
at::Tensor join_rows(const at::Tensor& x, std::int64_t rows, const comm::GroupPtr& tp);

}  // namespace cornstarch::nn
