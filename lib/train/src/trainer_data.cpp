#include <algorithm>

#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/telemetry/progress.h"
#include "trainer_impl.h"

namespace cornstarch::train {
namespace {

constexpr int kNamed = 20;  ///< bad samples that a rank names

}  // namespace

/// Whoever goes on in a window must find the one that others have taken their steps from.
void Trainer::Impl::check_window(const dataio::GlobalBatch& first) const {
  if (started_at.position.steps == 0 || first.window == started_at.window) return;
  throw Failure(
      ExitCode::usage,
      cat("the run cannot go on from step ", started_at.steps,
          ": it is amidst samples that were packed together, and what has changed since (batch, data, "
          "tokenizer or model) would pack them in another way"),
      "set it as it was, or start a run of its own from the model: cornstarch-train checkpoint export");
}

/// Until the first steps' batches are there.
void Trainer::Impl::begin_reading() {
  batches.emplace(
      [this, next = started_at.position](std::int64_t step) mutable {
        log::set_rank(comm->rank());  // of the thread that reads ahead
        dataio::GlobalBatch global = order(next);
        if (step == started_at.steps) check_window(global);
        next = global.after;
        return read(train_data, std::move(global));
      },
      started_at.steps, config.steps, 2, data_deadline());
  const telemetry::Progress starting("reading the first batch");
  const int last = std::min(started_at.steps + 1 + report_lag, config.steps);
  for (int step = started_at.steps; step < last; ++step) {
    upcoming.push_back(batches->next());
    agree_on_bad(upcoming.back());
  }
}

RankBatch Trainer::Impl::read(const dataio::Dataset& data, dataio::GlobalBatch global) const {
  RankBatch batch =
      read_batch(data, std::move(global), plan, modalities, needs, comm->rank(), config.data.num_workers);
  if (!batch.problems.empty() && config.data.on_bad_sample == config::OnBadSample::fail)
    throw Failure(ExitCode::bad_data, join(batch.problems, "\n"),
                  "data.on_bad_sample: skip trains without such samples");
  for (const std::string& problem : batch.problems) {
    if (named++ < kNamed) log::warning("skipped: " + problem);
    if (named == kNamed) log::warning("further bad samples are only counted");
  }
  for (pipeline::PlacedTokens& placed : batch.placed) executor.prepare(placed);
  return batch;
}

/// Makes the batch say which samples any rank found bad; free where bad samples end the run anyway.
void Trainer::Impl::agree_on_bad(RankBatch& batch) {
  if (config.data.on_bad_sample == config::OnBadSample::fail) return;
  Report report;
  report.next_bad = batch.bad;
  take(report, report.start(*world, device));
  batch.bad = report.next_bad;
}

Step Trainer::Impl::to_step(RankBatch batch, const dataio::Dataset& data, int number) const {
  const std::vector<double> bad = batch.bad;
  Step step = assemble(std::move(batch), bad, plan, modalities, comm->rank(), data.pad_id(), dtype);
  step.inputs.step = static_cast<std::uint32_t>(number);
  move_inputs(step.inputs, device);
  return step;
}

std::chrono::duration<double> Trainer::Impl::data_deadline() const {
  return std::chrono::duration<double>(config.deadlines.data);
}

/// What was done to the data, said once, by one rank.
void Trainer::Impl::sum_up() const {
  if (comm->rank() != 0) return;
  if (bad_samples.bad() > 0)
    log::warning(cat("skipped ", bad_samples.bad(), " of ", bad_samples.read(), " samples that were read"));
  if (course.cut > 0)
    log::warning(cat("cut ", course.cut, " recordings that are longer than their encoder takes"));
  if (course.cut_texts > 0)
    log::warning(cat("cut ", course.cut_texts, " samples that are longer than batch.sequence_length"));
  if (course.spikes > 0) log::warning(cat("steps whose loss was a spike: ", course.spikes));
  if (course.left_out > 0) log::warning(cat("steps that nothing was learnt from: ", course.left_out));
}

}  // namespace cornstarch::train
