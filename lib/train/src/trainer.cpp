#include "cornstarch/train/trainer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <deque>
#include <map>
#include <set>

#include "bad_samples.h"
#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/config/load.h"
#include "cornstarch/dataio/prefetch.h"
#include "cornstarch/dataio/sampler.h"
#include "cornstarch/launch/stop.h"
#include "cornstarch/optim/lr_schedule.h"
#include "cornstarch/optim/optimizer.h"
#include "cornstarch/plan/flops.h"
#include "cornstarch/telemetry/progress.h"
#include "cornstarch/train/batch.h"
#include "course.h"
#include "gather.h"
#include "memory.h"
#include "report.h"
#include "resume.h"
#include "saver.h"
#include "state.h"
#include "tracer.h"

namespace cornstarch::train {
namespace {

using Clock = std::chrono::steady_clock;

at::ScalarType dtype_of(config::Precision precision) {
  switch (precision) {
    case config::Precision::fp64:
      return at::kDouble;
    case config::Precision::fp32:
      return at::kFloat;
    case config::Precision::bf16:
    case config::Precision::bf16_pure:
      return at::kBFloat16;
  }
  return at::kFloat;
}

pipeline::StoreOptions store_options(const config::RunConfig& config, std::int64_t bucket_bytes,
                                     at::Device device) {
  return {bucket_bytes, config.sharding == config::Sharding::zero1,
          config.precision == config::Precision::bf16, device};
}

/// For all that this thread and its backward compute, if that is to be recorded: the default stream cannot
/// be.
std::optional<c10::Stream> own_stream(bool records, at::Device device) {
  if (!records) return std::nullopt;
  return c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

constexpr int kNamed = 20;  ///< bad samples that a rank names

/// NaNs have signs that say nothing.
std::string shown(double value) { return std::isnan(value) ? "nan" : cat(value); }

/// A step whose report is still to be read.
struct Issued {
  int step = 0;
  Report report;
  Sums sums;
  std::int64_t skipped = 0;
  std::vector<double> items;
  std::vector<bool> reached;
  Clock::time_point begin;
};

SaverOptions saver_options(const config::RunConfig& config, const catalog::Modalities& modalities) {
  const config::Checkpoint& wanted = config.checkpoint;
  SaverOptions out{config::checkpoint_folder(config), wanted.keep, wanted.keep_every,
                   wanted.on_error == config::OnSaveError::fail};
  for (const catalog::Modality& m : modalities)
    if (m.pretrained && std::ranges::find(m.trains, false) != m.trains.end())
      out.references.emplace_back(m.name, *m.pretrained);
  return out;
}

}  // namespace

struct Trainer::Impl {
  const config::RunConfig& config;
  const catalog::Modalities& modalities;
  const plan::Plan& plan;
  comm::CommunicatorPtr comm;
  const dataio::Dataset& train_data;
  const dataio::Dataset* eval_data;
  Observer observer;
  at::ScalarType dtype;
  at::Device device;
  std::optional<double> peak_flops;
  int report_lag;
  bool cuda_graphs;
  c10::OptionalStreamGuard stream;
  std::int64_t global_batch;
  Needs needs;
  comm::GroupPtr world;
  std::string version;
  std::optional<Tracer> tracer;
  Course course;      ///< as of the last step that is known to be updated everywhere
  Course started_at;  ///< of this run(): it goes on from there
  int steps_issued = 0;
  int saved_step = -1;  ///< that the newest checkpoint has behind it
  Clock::time_point saved_at = Clock::now();
  bool save_due = false;                      ///< by rank 0's clock, on all ranks alike
  std::deque<RankBatch> upcoming;             ///< from the next step on
  std::deque<Issued> issued;                  ///< steps whose report has not been read
  Clock::time_point begun;                    ///< what is under way,
  std::optional<Clock::duration> usual_time;  ///< and how long its like took
  std::optional<Clock::duration> step_time;   ///< of the last step that was recorded
  Ending ending;
  bool dropping = false;
  int left_out = 0;  ///< steps in a row that nothing was learnt from, since they were not finite
  std::optional<Failure> given_up;     ///< after too many of them: once all reports are read
  BadSamples bad_samples;              ///< of those that it was trained on
  mutable std::atomic<int> named = 0;  ///< bad samples that this rank has named
  pipeline::Executor executor;
  optim::Optimizer optimizer;
  Saver saver;
  std::optional<dataio::Prefetcher<RankBatch>> batches;  ///< waits at its end for what it reads

  Impl(const Setup& s, Observer o)
      : config(s.config),
        modalities(s.modalities),
        plan(s.plan),
        comm(s.comm),
        train_data(s.train_data),
        eval_data(s.eval_data),
        observer(std::move(o)),
        dtype(dtype_of(config.precision)),
        device(s.device),
        peak_flops(s.peak_flops),
        report_lag(s.report_lag),
        cuda_graphs(config.cuda_graphs && device.is_cuda()),
        stream(own_stream(cuda_graphs, device)),
        global_batch(static_cast<std::int64_t>(plan.microbatch_size) * plan.num_microbatches * plan.dp),
        needs(needs_of(plan, modalities, comm->rank())),
        world(comm->world()),
        version(s.version),
        tracer(s.traced_steps ? std::optional<Tracer>({*s.traced_steps, plan, comm, device}) : std::nullopt),
        bad_samples(train_data, train_data.size(), config.data.max_bad_fraction),
        executor(plan, modalities, comm,
                 {{dtype, config.seed, device},
                  store_options(config, s.bucket_bytes, device),
                  config.sharding == config::Sharding::zero3,
                  cuda_graphs,
                  pipeline::ExecutorOptions{}.run_ahead,
                  drops(s.drops)}),
        optimizer(config.optimizer, executor.segments()),
        saver(saver_options(config, modalities), comm->rank(), device) {}

  /// Not of ranks that share layers on GPUs: they would have to wait for these to agree.
  std::function<bool()> drops(const std::function<bool()>& given) {
    if (given) return given;
    const bool shares = std::ranges::any_of(plan.modalities, [](const auto& m) { return m.tp * m.sp > 1; });
    if (!launch::may_be_killed() || (device.is_cuda() && shares)) return {};
    return [this] { return outlasts_the_launcher(); };
  }

  /// From then on always: a step that was begun before a drop is known may not be updated for.
  bool outlasts_the_launcher() {
    const auto limit = launch::finish_by();
    if (!limit) return false;
    dropping = dropping || !usual_time || std::max(Clock::now(), begun + *usual_time) > *limit;
    return dropping;
  }

  void begin(std::optional<Clock::duration> usual, int step, const char* phase) {
    comm->at(step, phase);
    begun = Clock::now();
    usual_time = usual;
  }

  RankBatch read(const dataio::Dataset& data, std::vector<std::int64_t> samples) const {
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

  /// A rank that has failed leaves anything in the others' sums.
  void take(Report& report, const Sums& sums) const {
    report.read(sums);
    comm->check();
  }

  /// Makes the batch say which samples any rank found bad; free where bad samples end the run anyway.
  void agree_on_bad(RankBatch& batch) {
    if (config.data.on_bad_sample == config::OnBadSample::fail) return;
    Report report;
    report.next_bad = batch.bad;
    take(report, report.start(*world, device));
    batch.bad = report.next_bad;
  }

  /// What was done to the data, said once, by one rank.
  void sum_up() const {
    if (comm->rank() != 0) return;
    if (bad_samples.bad() > 0)
      log::warning(cat("skipped ", bad_samples.bad(), " of ", bad_samples.read(), " samples that were read"));
    if (course.cut > 0)
      log::warning(cat("cut ", course.cut, " recordings that are longer than their encoder takes"));
  }

  std::chrono::duration<double> data_deadline() const {
    return std::chrono::duration<double>(config.deadlines.data);
  }

  Step to_step(RankBatch batch, const dataio::Dataset& data) const {
    const std::vector<double> bad = batch.bad;
    Step step = assemble(std::move(batch), bad, plan, modalities, comm->rank(), data.pad_id(), dtype);
    move_inputs(step.inputs, device);
    return step;
  }

  Ending run() {
    const Ending out = take_steps();
    if (given_up) throw Failure(*given_up);
    return out;
  }

  Ending take_steps() {
    launch::stops_wait();
    const dataio::Sampler sampler(train_data.size(), global_batch, config.data.shuffle, config.seed);
    batches.emplace(
        [this, sampler](std::int64_t step) {
          log::set_rank(comm->rank());  // of the thread that reads ahead
          return read(train_data, sampler.samples(position(static_cast<int>(step)), global_batch));
        },
        started_at.steps, config.steps, 2, data_deadline());
    std::optional<telemetry::Progress> starting(std::in_place, "reading the first batch");
    for (int step = started_at.steps; step < std::min(started_at.steps + 1 + report_lag, config.steps);
         ++step) {
      upcoming.push_back(batches->next());
      agree_on_bad(upcoming.back());
    }
    starting.emplace("computing the first step");
    if (evaluates(started_at.steps) && course.evaluated != started_at.steps) evaluate(started_at.steps);
    for (int step = started_at.steps; step < config.steps && !ended(); ++step) {
      begin(step_time, step + 1, "training");
      if (tracer) tracer->begin(step);
      bad_samples.add(upcoming.front().samples, upcoming.front().bad);
      const Step inputs = to_step(std::move(upcoming.front()), train_data);
      upcoming.pop_front();
      const pipeline::StepSums sums =
          executor.train(inputs.activity, inputs.anyone, inputs.reached, inputs.inputs);
      const bool more = step + 1 + report_lag < config.steps;
      if (more && !sums.dropped) upcoming.push_back(batches->next());
      issue(step, inputs, sums, more);
      if (tracer) tracer->issued();
      starting.reset();
      const bool pauses = evaluates(step + 1) || saves(step + 1);
      if (conclude(pauses ? 0 : report_lag)) return ending;
      if (evaluates(step + 1)) evaluate(step + 1);
      if (!saves(step + 1) && !save_due) continue;
      if (conclude(0)) return ending;
      begin_saving(!config.checkpoint.async);
    }
    if (!ended()) finish_saving();
    return ending;
  }

  bool evaluates(int step) const {
    return step > 0 && (step == config.steps || (config.eval.every > 0 && step % config.eval.every == 0));
  }

  bool saves(int step) const {
    const config::Checkpoint& wanted = config.checkpoint;
    const bool ever = wanted.every > 0 || wanted.every_minutes > 0;
    return (wanted.every > 0 && step % wanted.every == 0) || (ever && step == config.steps);
  }

  /// Samples of the run before a step's first.
  std::int64_t position(int step) const {
    return started_at.samples + (step - started_at.steps) * global_batch;
  }

  // --- The state that outlives a run
  // -------------------------------------------------------------------------

  checkpoint::Manifest manifest() const {
    checkpoint::Manifest out;
    out.world_size = comm->size();
    out.trainer = version;
    out.config = config::dump(config);
    Course now = course;
    now.samples = position(course.steps);
    now.read = bad_samples.read();
    now.bad = bad_samples.bad();
    now.write(out);
    out.counters["train_samples"] = std::to_string(train_data.size());
    return out;
  }

  void restore(checkpoint::Checkpoint& from) {
    train::restore(from, executor.segments(), optimizer.moments());
    started_at = course = Course::of(from.manifest());
    optimizer.resume(course.updates);
    bad_samples.go_on(course.read, course.bad);
    steps_issued = saved_step = course.steps;
  }

  /// Not before all ranks have read their parts: one that could not would leave the others alone in it.
  void publish() { executor.publish(std::vector<bool>(modalities.size(), true)); }

  /// All reports have been read.
  void begin_saving(bool waits) {
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
    saver.begin(manifest(), state_of(executor.segments(), optimizer.moments()), waits);
    if (waits) finish_saving();
  }

  void say_saving(Report& report) {
    if (!saver.busy()) return;
    const Saver::Part part = saver.part();
    report.saved = part == Saver::Part::written ? 1 : 0;
    report.unsaved = part == Saver::Part::failed ? 1 : 0;
  }

  void conclude_saving(const Report& report) {
    if (saver.busy() && report.saved + report.unsaved == comm->size()) saver.conclude(report.unsaved == 0);
  }

  /// Waits for the checkpoint under way, with all ranks.
  void finish_saving() {
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
  bool save(bool again) {
    comm->at(0, "saving");
    if (again) saved_step = -1;
    begin_saving(true);
    finish_saving();
    Report report;
    report.saved = comm->rank() == 0 && saver.is_whole(course.steps) ? 1 : 0;
    take(report, report.start(*world, device));
    return report.saved > 0;
  }

  bool ended() const { return ending.signal != 0 || ending.dropped || given_up; }

  /// The rest of a step: its report on the way, its update done by a device that has the sums.
  void issue(int step, const Step& inputs, const pipeline::StepSums& sums, bool more) {
    Issued out{step, {}, {}, inputs.skipped, inputs.items, inputs.reached, begun};
    Report& report = out.report;
    report.targets = static_cast<double>(sums.targets);
    // Every rank with text read the same rows; the one whose loss counts reports them.
    if (speaks_for_replica()) {
      report.tokens = static_cast<double>(inputs.tokens);
      report.token_pairs = inputs.token_pairs;
      report.visible_pairs = inputs.visible_pairs;
    }
    steps_issued = step + 1;
    report.previous = times_of(step - 1);
    report.dropped = sums.dropped ? 1 : 0;
    if (more && config.data.on_bad_sample == config::OnBadSample::skip)
      report.next_bad =
          sums.dropped ? std::vector<double>(static_cast<std::size_t>(global_batch)) : upcoming.back().bad;
    report.add_stop(launch::stop_requested());
    report.cut = static_cast<double>(inputs.cut);
    say_saving(report);
    const std::chrono::duration<double, std::ratio<60>> since = Clock::now() - saved_at;
    const double minutes = config.checkpoint.every_minutes;
    report.save_due = comm->rank() == 0 && minutes > 0 && since.count() >= minutes ? 1 : 0;
    out.sums = report.start(*world, device, sums.loss, optim::squared_norm(executor.segments()));
    update(step, inputs, out.sums.values);
    issued.push_back(std::move(out));
  }

  /// Reads reports until `ahead` are left, or all of them at the run's end; returns whether that has come.
  bool conclude(int ahead) {
    while (issued.size() > static_cast<std::size_t>(ended() ? 0 : ahead)) {
      Issued step = std::move(issued.front());
      issued.pop_front();
      Report& report = step.report;
      take(report, step.sums);
      // The batch that this report spoke of, where the first of `upcoming` follows the last step issued.
      const std::size_t spoken_of = static_cast<std::size_t>(report_lag) - issued.size();
      if (!report.next_bad.empty() && spoken_of < upcoming.size()) upcoming[spoken_of].bad = report.next_bad;
      if (const int signal = report.stop_signal(); signal != 0) ending.signal = signal;
      if (report.dropped > 0) ending.dropped = true;
      if (ending.dropped) continue;
      record(step);
      course.steps = step.step + 1;
      conclude_saving(report);
      save_due = save_due || report.save_due > 0;
    }
    return ended();
  }

  bool speaks_for_replica() const {
    const plan::Part& last = plan.ranks[static_cast<std::size_t>(comm->rank())].parts.back();
    return last.stage + 1 == static_cast<int>(plan.stages.size()) && last.tp == 0 && last.cp == 0;
  }

  /// This rank's share in the times of a step of this run that has ended; traced, if that was asked for.
  std::vector<Times> times_of(int step) {
    std::vector<Times> stages(plan.stages.size());
    if (step < started_at.steps) return stages;
    const auto spans = executor.recorder().previous();
    if (tracer) tracer->add(step, spans, executor.recorder());
    const telemetry::TimeShares shares = telemetry::shares_of(spans);
    const plan::Part& part = plan.ranks[static_cast<std::size_t>(comm->rank())].parts.front();
    stages[static_cast<std::size_t>(part.stage)] = {1, shares.compute, shares.bubble, shares.communication,
                                                    peak_memory_bytes(device)};
    return stages;
  }

  std::vector<telemetry::StageTime> means(const std::vector<Times>& previous) const {
    std::vector<telemetry::StageTime> out;
    for (std::size_t s = 0; s < previous.size(); ++s) {
      const Times& t = previous[s];
      if (t.ranks == 0) continue;
      out.push_back({plan.stage_name(static_cast<int>(s)), t.compute / t.ranks, t.bubble / t.ranks,
                     t.communication / t.ranks, t.peak_memory / t.ranks});
    }
    return out;
  }

  void learnt_from(const Issued& step) {
    left_out = 0;
    if (step.report.targets == 0) return;
    for (std::size_t m = 0; m < modalities.size(); ++m)
      course.updates[modalities[m].name] += step.reached[m] ? 1 : 0;
  }

  /// No rank has updated for such a step. Too many of them in a row end the run.
  void leave_out(const telemetry::StepRecord& record) {
    if (given_up) return;  // by an earlier step, whose report was read a step late
    const std::string where = first_bad_gradient();
    const std::string what =
        cat("step ", record.step, ": loss ", shown(record.loss), ", gradient norm ", shown(record.grad_norm),
            " is not finite", where.empty() ? "" : cat("; the first such gradient is that of ", where));
    if (++left_out > config.optimizer.max_bad_steps)
      given_up.emplace(ExitCode::numerics, what, "lower optimizer.lr, or add warm-up");
    else if (comm->rank() == 0)
      log::warning(cat(what, ": nothing is learnt from it (", left_out, " in a row, of at most ",
                       config.optimizer.max_bad_steps, ")"));
  }

  /// In the order of the model, on any rank; "" where another step's gradients are there by now.
  std::string first_bad_gradient() const {
    if (!issued.empty()) return {};
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

  void record(const Issued& step) {
    const Report& report = step.report;
    telemetry::StepRecord record;
    record.step = step.step + 1;
    record.lr = learning_rate(step.step);
    record.tokens = static_cast<std::int64_t>(report.tokens);
    record.target_tokens = static_cast<std::int64_t>(report.targets);
    record.skipped_samples = step.skipped;
    record.cut_recordings = static_cast<std::int64_t>(report.cut);
    course.cut += record.cut_recordings;
    const plan::StepFlops flops = plan::step_flops(
        modalities, {report.tokens, report.token_pairs, report.visible_pairs, report.targets, step.items});
    record.model_flops = flops.masked;
    record.model_flops_full_attention = flops.full_attention;
    record.previous_step = means(report.previous);
    if (report.targets > 0) {
      record.loss = report.loss / report.targets;
      record.grad_norm = std::sqrt(report.squared_norm) / report.targets;
      record.left_out = !std::isfinite(record.loss) || !std::isfinite(record.grad_norm);
      if (record.left_out) leave_out(record);
    }
    if (!record.left_out) learnt_from(step);
    // Until the next one began: reports that are read later than that come in pairs at a run's stops.
    const auto end = issued.empty() ? Clock::now() : issued.front().begin;
    record.step_time_s = std::chrono::duration<double>(end - step.begin).count();
    record.tokens_per_s = static_cast<double>(record.tokens) / record.step_time_s;
    step_time = std::chrono::duration_cast<Clock::duration>(end - step.begin);
    if (peak_flops) {
      const double possible = *peak_flops * plan.world_size * record.step_time_s;
      record.mfu = record.model_flops / possible;
      record.mfu_full_attention = record.model_flops_full_attention / possible;
    }
    if (observer.on_step) observer.on_step(record);
  }

  double learning_rate(int step) const {
    return optim::learning_rate(config.lr_schedule, config.optimizer.lr, step, config.steps);
  }

  /// Gradients of the summed loss become those of the mean over the global batch's targets, clipped as
  /// torch.nn.utils.clip_grad_norm_ does. Without targets, where something is not finite, or if any rank
  /// dropped the step, nothing changes.
  /// All of it on the device: the host does not know the sums yet.
  void update(int step, const Step& inputs, const at::Tensor& sums) {
    const at::NoGradGuard no_grad;
    const at::Tensor loss = sums[0], targets = sums[1];
    const at::Tensor norm = sums[2].sqrt() / targets;
    const at::Tensor sound = (targets > 0).logical_and_(at::isfinite(loss + norm)).logical_and_(sums[3] == 0);
    at::Tensor scale = targets.reciprocal();
    const double clip = config.optimizer.grad_clip;
    if (clip > 0) scale = scale * (clip / (norm + 1e-6)).clamp_max_(1.0);
    scale = scale.masked_fill(sound.logical_not(), 0.0);
    const bool on_the_way = optimizer.scales() && !observer.on_gradients;
    if (!on_the_way)
      for (const at::Tensor& gradients : executor.gradients()) gradients.mul_(scale);
    if (observer.on_gradients) observer.on_gradients(step, executor.segments());
    std::set<std::string> untouched;
    for (std::size_t m = 0; m < modalities.size(); ++m)
      if (!inputs.reached[m]) untouched.insert(modalities[m].name);
    optimizer.step(learning_rate(step), untouched, sound, on_the_way ? scale : at::Tensor());
    executor.publish(inputs.reached);
  }

  /// Whether any rank has been asked to stop; all of them call it.
  bool stops() {
    Report report;
    report.add_stop(launch::stop_requested());
    take(report, report.start(*world, device));
    ending.signal = report.stop_signal();
    return ending.signal != 0;
  }

  telemetry::EvalRecord evaluate(std::int64_t step) {
    telemetry::EvalRecord record;
    record.step = step;
    if (eval_data == nullptr) return record;
    const std::int64_t count = std::min<std::int64_t>(config.eval.max_samples, eval_data->size());
    BadSamples bad(*eval_data, count, config.data.max_bad_fraction);
    pipeline::StepSums sums;
    sums.loss = at::zeros({}, at::TensorOptions(device).dtype(at::kDouble));
    dataio::Prefetcher<RankBatch> held_out(
        [this, count](std::int64_t batch) {
          log::set_rank(comm->rank());
          std::vector<std::int64_t> samples;
          for (std::int64_t i = batch * global_batch; i < (batch + 1) * global_batch; ++i)
            samples.push_back(i < count ? i : -1);
          return read(*eval_data, std::move(samples));
        },
        0, (count + global_batch - 1) / global_batch, 1, data_deadline());
    for (std::int64_t first = 0; first < count; first += global_batch) {
      if (stops()) return record;
      begin({}, 0, "evaluating");
      RankBatch batch = held_out.next();
      agree_on_bad(batch);
      bad.add(batch.samples, batch.bad);
      const Step inputs = to_step(std::move(batch), *eval_data);
      const pipeline::StepSums part = executor.evaluate(inputs.activity, inputs.anyone, inputs.inputs);
      sums.loss += part.loss;
      sums.targets += part.targets;
      sums.answers += part.answers;
      sums.correct += part.correct;
    }
    Report report;
    report.targets = static_cast<double>(sums.targets);
    report.next_bad = {static_cast<double>(sums.answers), static_cast<double>(sums.correct)};
    report.add_stop(launch::stop_requested());
    take(report, report.start(*world, device, sums.loss));
    ending.signal = report.stop_signal();
    if (ending.signal != 0) return record;
    record.loss = report.targets > 0 ? report.loss / report.targets : 0;
    record.samples = static_cast<std::int64_t>(report.next_bad[0]);
    record.accuracy = record.samples > 0 ? report.next_bad[1] / report.next_bad[0] : 0;
    course.evaluated = static_cast<int>(step);
    if (observer.on_eval) observer.on_eval(record);
    return record;
  }
};

Trainer::Trainer(const Setup& setup, Observer observer)
    : impl_(std::make_unique<Impl>(setup, std::move(observer))) {}
Trainer::~Trainer() = default;

Ending Trainer::run() {
  const Ending ending = impl_->run();
  impl_->sum_up();
  return ending;
}

void Trainer::restore(checkpoint::Checkpoint& from) { impl_->restore(from); }
void Trainer::publish() { impl_->publish(); }
bool Trainer::save(bool again) { return impl_->save(again); }

int Trainer::steps_done() const { return impl_->course.steps; }

telemetry::EvalRecord Trainer::evaluate(std::int64_t step) { return impl_->evaluate(step); }

std::optional<std::vector<models::NamedTensor>> Trainer::gather(int modality, at::ScalarType dtype) {
  return gather_modality(impl_->plan, impl_->modalities, *impl_->comm, impl_->executor, modality,
                         at::TensorOptions(impl_->device).dtype(dtype));
}

at::ScalarType Trainer::dtype() const { return impl_->dtype; }

void Trainer::write_trace(const std::filesystem::path& path) {
  // The last step's times are taken when the next one begins: here nothing does.
  impl_->executor.recorder().start();
  impl_->times_of(impl_->steps_issued - 1);
  if (impl_->tracer) impl_->tracer->write(path);
}

std::vector<models::Parameter*> Trainer::parameters() { return impl_->executor.parameters(); }

}  // namespace cornstarch::train
