#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/config/load.h"
#include "state.h"
#include "trainer_impl.h"

namespace cornstarch::train {

bool Trainer::Impl::saves(int step) const {
  const config::Checkpoint& wanted = config.checkpoint;
  const bool ever = wanted.every > 0 || wanted.every_minutes > 0;
  return (wanted.every > 0 && step % wanted.every == 0) || (ever && step == config.steps);
}

checkpoint::Manifest Trainer::Impl::manifest() const {
  checkpoint::Manifest out;
  out.world_size = comm->size();
  out.trainer = version;
  out.config = config::dump(config);
  Course now = course;
  now.read = bad_samples.read();
  now.bad = bad_samples.bad();
  if (given_up) now.bad_in_a_row = 0;  // whoever goes on from there has looked at it
  now.write(out);
  out.counters["train_samples"] = std::to_string(train_data.size());
  return out;
}

void Trainer::Impl::restore(checkpoint::Checkpoint& from) {
  train::restore(from, executor.segments(), optimizer.moments());
  started_at = course = Course::of(from.manifest());
  optimizer.resume(course.updates);
  bad_samples.go_on(course.read, course.bad);
  steps_issued = timed_from = course.steps;
  // One from elsewhere is none of this run's own.
  const bool own = from.path() == checkpoint::whole_folder(config::checkpoint_folder(config), course.steps);
  saved_step = own ? course.steps : -1;
  for (const plan::Part& part : plan.ranks[static_cast<std::size_t>(comm->rank())].parts)
    if (nn::Fp8Scales* scales = executor.scales(part.stage))
      train::restore(from, plan.modality_of(part.stage).name, *scales);
}

/// Not before all ranks have read their parts: one that could not would leave the others alone in it.
void Trainer::Impl::publish() { executor.publish(std::vector<bool>(modalities.size(), true)); }

/// What this rank has of it; what is the same on all ranks of a stage, one of them has.
std::vector<StateTensor> Trainer::Impl::state() const {
  std::vector<StateTensor> out = state_of(executor.segments(), optimizer.moments());
  const plan::RankPlan& me = plan.ranks[static_cast<std::size_t>(comm->rank())];
  for (const plan::Part& part : me.parts) {
    const nn::Fp8Scales* scales = executor.scales(part.stage);
    if (!scales || me.dp > 0 || part.cp > 0 || part.tp > 0) continue;
    for (StateTensor& each : state_of(plan.modality_of(part.stage).name, *scales))
      out.push_back(std::move(each));
  }
  return out;
}

/// All reports have been read.
void Trainer::Impl::begin_saving(bool waits) {
  if (saved_step == course.steps) return;
  const Clock::time_point asked = Clock::now();
  comm->at(0, "saving");
  finish_saving();
  const std::chrono::duration<double> waited = Clock::now() - asked;
  if (comm->rank() == 0 && waited.count() > 1)
    log::warning(cat("training waited ", static_cast<int>(waited.count()), " s for the checkpoint of step ",
                     saved_step, ": it takes longer to write than the steps until the next"));
  saved_step = course.steps;
  saved_at = Clock::now();
  save_due = false;
  saver.begin(manifest(), state(), waits);
  if (waits) finish_saving();
}

void Trainer::Impl::say_saving(Report& report) {
  if (!saver.busy()) return;
  const Saver::Part part = saver.part();
  report.saved = part == Saver::Part::written ? 1 : 0;
  report.unsaved = part == Saver::Part::failed ? 1 : 0;
}

/// By rank 0's clock.
bool Trainer::Impl::is_due() const {
  const std::chrono::duration<double, std::ratio<60>> since = Clock::now() - saved_at;
  const double minutes = config.checkpoint.every_minutes;
  return comm->rank() == 0 && minutes > 0 && since.count() >= minutes;
}

void Trainer::Impl::conclude_saving(const Report& report) {
  if (saver.busy() && report.saved + report.unsaved == comm->size()) saver.conclude(report.unsaved == 0);
}

/// Waits for the checkpoint under way, with all ranks.
void Trainer::Impl::finish_saving() {
  if (saver.busy()) {
    saver.wait();
    Report report;
    say_saving(report);
    take(report, report.start(*world, device));
    conclude_saving(report);
  }
  saver.settle();
}

/// Of a run that is to be started again; whether there is one then, as rank 0 finds it.
bool Trainer::Impl::save() {
  comm->at(0, "saving");
  begin_saving(true);
  finish_saving();
  Report report;
  report.saved = comm->rank() == 0 && saver.is_whole(course.steps) ? 1 : 0;
  take(report, report.start(*world, device));
  return report.saved > 0;
}

}  // namespace cornstarch::train
