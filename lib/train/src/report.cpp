#include "report.h"

#include <ATen/ops/empty.h>

namespace cornstarch::train {

std::vector<double*> Report::fields() {
  std::vector<double*> out = {&loss,        &targets,       &squared_norm, &tokens,
                              &token_pairs, &visible_pairs, &signals,      &stoppers};
  for (Times& t : previous)
    out.insert(out.end(), {&t.ranks, &t.compute, &t.bubble, &t.communication, &t.peak_memory});
  for (double& bad : next_bad) out.push_back(&bad);
  return out;
}

at::Tensor Report::start(comm::Group& world, at::Device device, const at::Tensor& sum_of_losses,
                         const at::Tensor& own_squared_norm) {
  const std::vector<double*> all = fields();
  const at::Tensor host = at::empty({static_cast<std::int64_t>(all.size())},
                                    at::TensorOptions(at::kDouble).pinned_memory(device.is_cuda()));
  double* values = host.data_ptr<double>();
  for (std::size_t i = 0; i < all.size(); ++i) values[i] = *all[i];
  at::Tensor sums = host.to(device, /*non_blocking=*/true);
  if (sum_of_losses.defined()) sums[0].copy_(sum_of_losses);
  if (own_squared_norm.defined()) sums[2].copy_(own_squared_norm);
  world.all_reduce(sums);
  return sums;
}

void Report::read(const at::Tensor& sums) {
  const at::Tensor host = sums.cpu();
  const double* values = host.const_data_ptr<double>();
  for (double* field : fields()) *field = *values++;
}

}  // namespace cornstarch::train
