#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

#include "cornstarch/base/checked.h"
#include "cornstarch/pipeline/store.h"

namespace torch::autograd {
struct Node;
}

namespace cornstarch::pipeline {

/// Parameters that travel together, one behind the other in flat memory.
struct Bucket {
  struct Place {
    Stored stored;
    std::int64_t offset = 0;
    at::Tensor gradient;  ///< this place in `gradients`, in the parameter's shape
  };

  comm::GroupPtr group;
  std::vector<Place> places;
  std::int64_t elements = 0;
  std::int64_t unit = 1;                 ///< of which shares are multiples
  bool over_stages = false;              ///< as its parameters
  bool sharded = false;                  ///< each rank of the group owns one of as many equal shares
  at::Tensor values, gradients;          ///< flat; sharded: padded to a multiple of the group's size
  at::Tensor own_values, own_gradients;  ///< this rank's share; all of it where the bucket is not sharded
  at::Tensor own_masters;                ///< likewise; undefined where values are their own masters
  at::Tensor sum;                        ///< what own_gradients become once work is done, or themselves
  std::size_t missing = 0;               ///< gradients that the last backward has still to add
  comm::WorkPtr work;                    ///< what the bucket waits for
};

/// The bucket's gradients as they travel: themselves, or rounded.
at::Tensor leaving(const Bucket& bucket, const StoreOptions& options);

/// Adds a parameter behind those that are there.
void append(Bucket& bucket, const Stored& parameter, const StoreOptions& options);

/// The elements that this rank owns, once all parameters are there.
Range share_of(const Bucket& bucket);

/// Deals parameters, last to first and those over several stages behind the others, to buckets of at most
/// `bucket_bytes` of values (one parameter may be more).
std::vector<Bucket> deal(const std::vector<Stored>& parameters, const StoreOptions& options);

/// Makes the bucket's memory, on the options' device, and every value a view into it. Where its parameters
/// train, gradients too. Masters take the values as they are given, before they are rounded.
void lay_out(Bucket& bucket, const StoreOptions& options);

/// Has gradients that autograd brings added to the parameter's sum, which must be open then, and calls back
/// when one has been added. The callbacks live as long as the node. `place` must stay where it is.
std::shared_ptr<torch::autograd::Node> watch(const Bucket::Place& place, std::function<void()> added);

/// Has gradients add up in the bucket until close(); see nn::GradientSum::open.
void open(const Bucket& bucket, bool adds);
void close(const Bucket& bucket);

/// The runs of this rank's share, parameter by parameter.
void add_segments(const Bucket& bucket, std::vector<Segment>& segments);

}  // namespace cornstarch::pipeline
