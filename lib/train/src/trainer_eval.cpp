#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/launch/stop.h"
#include "trainer_impl.h"

namespace cornstarch::train {

bool Trainer::Impl::evaluates(int step) const {
  return step > 0 && (step == config.steps || (config.eval.every > 0 && step % config.eval.every == 0));
}

/// Whether any rank has been asked to stop; all of them call it.
bool Trainer::Impl::stops() {
  Report report;
  report.add_stop(launch::stop_requested());
  take(report, report.start(*world, device));
  ending.signal = report.stop_signal();
  return ending.signal != 0;
}

void Trainer::Impl::read_held_out(std::int64_t count) {
  held_out.emplace(
      [this, count](std::int64_t batch) {
        log::set_rank(comm->rank());
        std::vector<std::int64_t> samples;
        for (std::int64_t i = batch * rows_per_step; i < (batch + 1) * rows_per_step; ++i)
          samples.push_back(i < count ? i : -1);
        return read(*eval_data, {std::move(samples)});
      },
      0, (count + rows_per_step - 1) / rows_per_step, 1, data_deadline());
}

/// All ranks know the same loss. Of a model that is to be written next, one that is no number is the end.
void Trainer::Impl::judge_held_out(const telemetry::EvalRecord& record) const {
  if (std::isfinite(record.loss)) return;
  const std::string what = cat("step ", record.step, ": the held-out loss is not finite");
  if (record.step == config.steps)
    throw Failure(ExitCode::numerics, cat(what, "; the model is not written"),
                  "lower optimizer.lr, or add warm-up");
  if (comm->rank() == 0) log::warning(what);
}

telemetry::EvalRecord Trainer::Impl::evaluate(std::int64_t step) {
  telemetry::EvalRecord record;
  record.step = step;
  if (eval_data == nullptr) return record;
  const std::int64_t count = std::min<std::int64_t>(config.eval.max_samples, eval_data->size());
  BadSamples bad(*eval_data, count, config.data.max_bad_fraction);
  pipeline::StepSums sums;
  sums.loss = at::zeros({}, at::TensorOptions(device).dtype(at::kDouble));
  read_held_out(count);
  for (std::int64_t first = 0; first < count; first += rows_per_step) {
    if (stops()) return record;
    begin({}, 0, "evaluating");
    RankBatch batch = held_out->next();
    agree_on_bad(batch);
    bad.add(batch.global.samples, batch.bad);
    const Step inputs = to_step(std::move(batch), *eval_data);
    const pipeline::StepSums part = executor.evaluate(inputs.activity, inputs.anyone, inputs.inputs);
    sums.loss += part.loss;
    sums.targets += part.targets;
    sums.answers += part.answers;
    sums.correct += part.correct;
  }
  held_out.reset();
  Report report;
  report.targets = static_cast<double>(sums.targets);
  report.answers = static_cast<double>(sums.answers);
  report.correct = static_cast<double>(sums.correct);
  report.add_stop(launch::stop_requested());
  take(report, report.start(*world, device, sums.loss));
  ending.signal = report.stop_signal();
  if (ending.signal != 0) return record;
  record.loss = report.targets > 0 ? report.loss / report.targets : 0;
  record.samples = static_cast<std::int64_t>(report.answers);
  record.accuracy = record.samples > 0 ? report.correct / report.answers : 0;
  const auto answers = answer_held_out(std::min<std::int64_t>(config.eval.generate, count));
  if (ending.signal != 0) return record;
  course.evaluated = static_cast<int>(step);
  if (observer.on_answers && !answers.empty()) observer.on_answers(step, answers);
  if (observer.on_eval) observer.on_eval(record);
  judge_held_out(record);
  return record;
}

}  // namespace cornstarch::train
