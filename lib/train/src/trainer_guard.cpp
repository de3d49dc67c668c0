#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "trainer_impl.h"

namespace cornstarch::train {
namespace {

constexpr int kSearches = 20;  ///< each takes about as long as a dozen steps

/// NaNs have signs that say nothing.
std::string shown(double value) { return std::isnan(value) ? "nan" : cat(value); }

}  // namespace

/// No rank has updated for such a step. Too many of them in a row end the run.
void Trainer::Impl::leave_out(const telemetry::StepRecord& record, const Issued& step) {
  if (given_up) return;  // by an earlier step, whose report was read a step late
  std::string where = issued.empty() ? first_bad_gradient() : "";
  const auto culprit = searches++ < kSearches ? find_culprit(step) : std::nullopt;
  if (where.empty() && culprit) where = first_bad_gradient();
  std::string what = cat("step ", record.step, ": loss ", shown(record.loss), ", gradient norm ",
                         shown(record.grad_norm), " is not finite");
  if (!where.empty()) what += cat("; the first such gradient is that of ", where);
  if (culprit)
    what += cat(culprit->alone ? "; it comes from " : "; it comes from several samples, the first of them ",
                culprit->place);
  if (++course.bad_in_a_row > config.optimizer.max_bad_steps)
    given_up.emplace(ExitCode::numerics, what,
                     culprit && culprit->alone ? "mend that sample, or take it out"
                                               : "lower optimizer.lr, or add warm-up");
  else if (comm->rank() == 0)
    log::warning(cat(what, ": nothing is learnt from it (", course.bad_in_a_row, " in a row, of at most ",
                     config.optimizer.max_bad_steps, ")"));
}

/// Halves the batch until one sample is left; its gradients are what is there then. Nothing where no sample
/// alone makes the step what it is.
std::optional<Trainer::Impl::Culprit> Trainer::Impl::find_culprit(const Issued& step) {
  timed_from = steps_issued;  // the passes take the place of the last step's times
  const auto is_finite = [&](std::int64_t first, std::int64_t last, bool inside) {
    dataio::GlobalBatch global = step.global;
    for (std::int64_t i = 0; i < std::ssize(global.samples); ++i) {
      const auto at = static_cast<std::size_t>(i);
      if ((i >= first && i < last) != inside || step.bad[at] != 0) global.samples[at] = -1;
    }
    return is_finite_with(std::move(global), step.step);
  };
  std::int64_t first = 0, last = std::ssize(step.global.samples);
  while (last - first > 1) {
    const std::int64_t middle = first + (last - first) / 2;
    (is_finite(first, middle, true) ? first : last) = middle;
  }
  const bool alone = is_finite(first, last, false);
  if (is_finite(first, last, true)) return std::nullopt;
  return Culprit{train_data.place(step.global.samples[static_cast<std::size_t>(first)]), alone};
}

/// Whether loss and gradients of these samples are finite, with the parameters as they are; all ranks find
/// the same. Also where any of them drops what is under way.
bool Trainer::Impl::is_finite_with(dataio::GlobalBatch global, int step) {
  if (std::ranges::all_of(global.samples, [](std::int64_t sample) { return sample < 0; })) return true;
  begin(step_time, step + 1, "looking for a bad sample");
  RankBatch batch = read(train_data, std::move(global));
  agree_on_bad(batch);
  const Step inputs = to_step(std::move(batch), train_data, step);
  const pipeline::StepSums sums =
      executor.train(inputs.activity, inputs.anyone, inputs.reached, inputs.inputs);
  Report report;
  report.dropped = sums.dropped ? 1 : 0;
  take(report, report.start(*world, device, sums.loss, optim::squared_norm(executor.segments())));
  return report.dropped > 0 || (std::isfinite(report.loss) && std::isfinite(report.squared_norm));
}

/// Of the last pass, in the order of the model, on any rank; "" where all are finite.
std::string Trainer::Impl::first_bad_gradient() const {
  std::map<std::string, std::int64_t> places;
  std::vector<std::string> names;
  for (const catalog::Modality& m : modalities)
    for (const catalog::ModuleSpec& module : m.spec.modules)
      for (const catalog::ParamSpec& p : module.params) {
        names.push_back(m.name + "/" + p.name);
        places.emplace(names.back(), std::ssize(names) - 1);
      }
  std::int64_t first = std::ssize(names);
  for (const pipeline::Segment& s : executor.segments())
    if (!at::isfinite(s.gradient).all().item<bool>())
      first = std::min(first, places.at(s.parameter->full_name()));
  const at::Tensor least = at::full({1}, -first, at::TensorOptions(device).dtype(at::kLong));
  world->all_reduce(least, comm::Reduce::max);
  comm->check();
  first = -least.item<std::int64_t>();
  return first < std::ssize(names) ? names[static_cast<std::size_t>(first)] : std::string();
}

}  // namespace cornstarch::train
