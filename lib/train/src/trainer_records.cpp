#include <cmath>
#include <limits>

#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/plan/flops.h"
#include "memory.h"
#include "trainer_impl.h"

namespace cornstarch::train {

void Trainer::Impl::record(const Issued& step) {
  const Report& report = step.report;
  telemetry::StepRecord record;
  record.step = step.step + 1;
  record.lr = learning_rate(step.step);
  record.tokens = static_cast<std::int64_t>(report.tokens);
  record.target_tokens = static_cast<std::int64_t>(report.targets);
  record.skipped_samples = step.skipped;
  record.cut_recordings = static_cast<std::int64_t>(report.cut);
  course.cut += record.cut_recordings;
  record.cut_texts = static_cast<std::int64_t>(report.cut_texts);
  course.cut_texts += record.cut_texts;
  record.previous_step = means(report.previous);
  add_speed(record, step);
  if (report.targets > 0) {
    record.loss = report.loss / report.targets;
    record.grad_norm = std::sqrt(report.squared_norm) / report.targets;
    judge(record, step);
  }
  if (!record.left_out) learnt_from(step);
  if (observer.on_step) observer.on_step(record);
}

/// How long it took, and what was computed in that time.
void Trainer::Impl::add_speed(telemetry::StepRecord& record, const Issued& step) {
  const Report& report = step.report;
  const plan::StepFlops flops = plan::step_flops(
      modalities, {report.tokens, report.token_pairs, report.visible_pairs, report.targets, report.items});
  record.model_flops = flops.masked;
  record.model_flops_full_attention = flops.full_attention;
  // Until the next one began: reports that are read later than that come in pairs at a run's stops.
  const auto end = issued.empty() ? Clock::now() : issued.front().begin;
  record.step_time_s = std::chrono::duration<double>(end - step.begin).count();
  record.tokens_per_s = static_cast<double>(record.tokens) / record.step_time_s;
  step_time = std::chrono::duration_cast<Clock::duration>(end - step.begin);
  if (!peak_flops) return;
  const double possible = *peak_flops * plan.world_size * record.step_time_s;
  record.mfu = record.model_flops / possible;
  record.mfu_full_attention = record.model_flops_full_attention / possible;
}

double Trainer::Impl::spike_above(int step) const {
  const double zscore = config.optimizer.spike_zscore;
  return zscore > 0 ? course.losses.limit(step, zscore) : std::numeric_limits<double>::infinity();
}

/// As update() did, which was to know before.
void Trainer::Impl::judge(telemetry::StepRecord& record, const Issued& step) {
  const bool finite = std::isfinite(record.loss) && std::isfinite(record.grad_norm);
  record.spike = std::isfinite(record.loss) && record.loss > step.spike_above;
  record.left_out = !finite || (record.spike && config.optimizer.skip_spikes);
  course.left_out += record.left_out ? 1 : 0;
  course.spikes += record.spike ? 1 : 0;
  if (config.optimizer.spike_zscore > 0 && std::isfinite(record.loss))
    course.losses.add(step.step, record.loss);
  if (record.spike && comm->rank() == 0)
    log::warning(cat("step ", record.step, ": loss ", record.loss, " is a spike: optimizer.spike_zscore (",
                     config.optimizer.spike_zscore, ") allows ", step.spike_above,
                     record.left_out ? "; nothing is learnt from it" : ""));
  if (!finite) leave_out(record, step);
}

void Trainer::Impl::learnt_from(const Issued& step) {
  course.bad_in_a_row = 0;
  if (step.report.targets == 0) return;
  for (std::size_t m = 0; m < modalities.size(); ++m)
    course.updates[modalities[m].name] += step.reached[m] ? 1 : 0;
}

/// This rank's share in the times of a step of this run that has ended; traced, if that was asked for.
std::vector<Times> Trainer::Impl::times_of(int step) {
  std::vector<Times> stages(plan.stages.size());
  if (step < timed_from) return stages;
  const auto spans = executor.recorder().previous();
  if (tracer) tracer->add(step, spans, executor.recorder());
  const telemetry::TimeShares shares = telemetry::shares_of(spans);
  const plan::Part& part = plan.ranks[static_cast<std::size_t>(comm->rank())].parts.front();
  stages[static_cast<std::size_t>(part.stage)] = {1, shares.compute, shares.bubble, shares.communication,
                                                  peak_memory_bytes(device)};
  return stages;
}

std::vector<telemetry::StageTime> Trainer::Impl::means(const std::vector<Times>& previous) const {
  std::vector<telemetry::StageTime> out;
  for (std::size_t s = 0; s < previous.size(); ++s) {
    const Times& t = previous[s];
    if (t.ranks == 0) continue;
    out.push_back({plan.stage_name(static_cast<int>(s)), t.compute / t.ranks, t.bubble / t.ranks,
                   t.communication / t.ranks, t.peak_memory / t.ranks});
  }
  return out;
}

}  // namespace cornstarch::train
