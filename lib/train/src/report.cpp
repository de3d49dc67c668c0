#include "report.h"

#include <ATen/ops/empty.h>

#include "cornstarch/base/result.h"

namespace cornstarch::train {

std::vector<double*> Report::fields() {
  std::vector<double*> out = {&loss,        &targets,       &squared_norm, &dropped, &tokens,
                              &token_pairs, &visible_pairs, &items,        &cut,     &cut_texts,
                              &saved,       &unsaved,       &save_due,     &answers, &correct,
                              &window,      &window_squared};
  for (double& ranks : stops) out.push_back(&ranks);
  for (Times& t : previous)
    out.insert(out.end(), {&t.ranks, &t.compute, &t.bubble, &t.communication, &t.peak_memory});
  for (auto* numbers : {&next_bad, &told})
    for (double& each : *numbers) out.push_back(&each);
  return out;
}

void Report::add_stop(int signal) {
  for (std::size_t i = 0; i < stops.size(); ++i)
    if (kStopSignals[i] == signal) ++stops[i];
}

int Report::stop_signal() const {
  for (std::size_t i = 0; i < stops.size(); ++i)
    if (stops[i] > 0) return kStopSignals[i];
  return 0;
}

/// Twelve bits: sums of 8,192 ranks and their squares are exact.
void Report::set_window(std::int64_t fingerprint) {
  window = static_cast<double>(fingerprint & 0xfff);
  window_squared = window * window;
}

/// A sum of squares is that of n equal numbers where it is the square of the sum by n, and only there.
void Report::require_one_window(int ranks) const {
  if (window * window == window_squared * ranks) return;
  throw Failure(ExitCode::bad_data, "ranks have packed different samples: what they read is not the same",
                "every rank must see the same files, unchanged");
}

Sums Report::start(comm::Group& world, at::Device device, const at::Tensor& sum_of_losses,
                   const at::Tensor& own_squared_norm) {
  const std::vector<double*> all = fields();
  const auto options = at::TensorOptions(at::kDouble).pinned_memory(device.is_cuda());
  const at::Tensor own = at::empty({static_cast<std::int64_t>(all.size())}, options);
  double* values = own.data_ptr<double>();
  for (std::size_t i = 0; i < all.size(); ++i) values[i] = *all[i];
  Sums sums{own.to(device, /*non_blocking=*/true), {}, std::nullopt};
  if (sum_of_losses.defined()) sums.values[0].copy_(sum_of_losses);
  if (own_squared_norm.defined()) sums.values[2].copy_(own_squared_norm);
  world.all_reduce(sums.values);
  sums.host = sums.values;
  if (device.is_cpu()) return sums;
  sums.host = at::empty(own.sizes(), options);
  sums.host.copy_(sums.values, /*non_blocking=*/true);
  sums.arrived.emplace(device.type());
  sums.arrived->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  return sums;
}

void Report::read(const Sums& sums) {
  if (sums.arrived) sums.arrived->synchronize();
  const double* values = sums.host.const_data_ptr<double>();
  for (double* field : fields()) *field = *values++;
}

}  // namespace cornstarch::train
