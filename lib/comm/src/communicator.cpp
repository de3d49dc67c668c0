#include "cornstarch/comm/communicator.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include <numeric>

namespace cornstarch::comm {

void Group::barrier() {
  if (size() > 1) all_reduce(at::zeros({1}, at::kByte), Reduce::max);
}

GroupPtr Communicator::world() {
  if (!world_) {
    std::vector<int> ranks(static_cast<std::size_t>(size()));
    std::iota(ranks.begin(), ranks.end(), 0);
    world_ = group(ranks, "world");
  }
  return world_;
}

}  // namespace cornstarch::comm
