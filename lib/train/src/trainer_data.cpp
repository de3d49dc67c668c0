#include <algorithm>

#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/dataio/sampler.h"
#include "cornstarch/telemetry/progress.h"
#include "trainer_impl.h"

namespace cornstarch::train {
namespace {

constexpr int kNamed = 20;  ///< bad samples that a rank names

}  // namespace

/// Samples of the run before a step's first.
std::int64_t Trainer::Impl::position(int step) const {
  return started_at.samples + (step - started_at.steps) * global_batch;
}

/// Until the first steps' batches are there.
void Trainer::Impl::begin_reading() {
  const dataio::Sampler sampler(train_data.size(), global_batch, config.data.shuffle, config.seed);
  batches.emplace(
      [this, sampler](std::int64_t step) {
        log::set_rank(comm->rank());  // of the thread that reads ahead
        return read(train_data, sampler.samples(position(static_cast<int>(step)), global_batch));
      },
      started_at.steps, config.steps, 2, data_deadline());
  const telemetry::Progress starting("reading the first batch");
  const int last = std::min(started_at.steps + 1 + report_lag, config.steps);
  for (int step = started_at.steps; step < last; ++step) {
    upcoming.push_back(batches->next());
    agree_on_bad(upcoming.back());
  }
}

RankBatch Trainer::Impl::read(const dataio::Dataset& data, std::vector<std::int64_t> samples) const {
  RankBatch batch =
      read_batch(data, std::move(samples), plan, modalities, needs, comm->rank(), config.data.num_workers);
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
