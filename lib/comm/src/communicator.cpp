#include "cornstarch/comm/communicator.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include <numeric>

#include "cornstarch/base/text.h"

namespace cornstarch::comm {

Lane lane_of_seam(int seam, bool gradients) {
  const int number = 2 * seam + (gradients ? 1 : 0);
  if (seam >= 0 && number < static_cast<int>(Lane::context)) return Lane{number};
  throw Failure(ExitCode::internal, cat("there is no lane for seam ", seam));
}

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
