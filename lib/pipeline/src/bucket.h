#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "cornstarch/base/checked.h"
#include "cornstarch/pipeline/store.h"

namespace cornstarch::pipeline {

/// Parameters that travel together, one behind the other in flat memory.
struct Bucket {
  comm::GroupPtr group;
  std::vector<Stored> parameters;
  std::int64_t elements = 0;
  bool sharded = false;                  ///< each rank of the group owns one of as many equal shares
  at::Tensor values, gradients;          ///< flat; sharded: padded to a multiple of the group's size
  at::Tensor own_values, own_gradients;  ///< this rank's share; all of it where the bucket is not sharded
  std::size_t missing = 0;               ///< gradients that the last backward has still to add
  comm::WorkPtr work;                    ///< what the bucket waits for
};

/// Deals parameters, last to first, to buckets of at most `bucket_bytes` of values (one parameter may be
/// more).
std::vector<Bucket> deal(const std::vector<Stored>& parameters, const StoreOptions& options);

/// Makes the bucket's memory and every value and gradient a view into it: autograd adds in place where a
/// gradient is there already.
void lay_out(Bucket& bucket);

/// The runs of this rank's share, parameter by parameter.
void add_segments(const Bucket& bucket, std::vector<Segment>& segments);

}  // namespace cornstarch::pipeline
