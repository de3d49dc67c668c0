#include "cornstarch/train/trainer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <set>
#include <thread>

#include "cornstarch/catalog/whole_model.h"
#include "cornstarch/config/load.h"
#include "cornstarch/launch/stop.h"
#include "cornstarch/optim/lr_schedule.h"
#include "cornstarch/telemetry/progress.h"
#include "gather.h"
#include "order.h"
#include "trainer_impl.h"

namespace cornstarch::train {
namespace {

at::ScalarType dtype_of(config::Precision precision) {
  switch (precision) {
    case config::Precision::fp64:
    case config::Precision::fp8_in_fp64:
      return at::kDouble;
    case config::Precision::fp32:
      return at::kFloat;
    case config::Precision::bf16:
    case config::Precision::fp8:
    case config::Precision::bf16_pure:
      return at::kBFloat16;
  }
  return at::kFloat;
}

pipeline::StoreOptions store_options(const config::RunConfig& config, std::int64_t bucket_bytes,
                                     at::Device device) {
  return {.bucket_bytes = bucket_bytes,
          .sharded = config.sharding == config::Sharding::zero1,
          .masters = config::has_masters(config.precision),
          .device = device,
          .narrow_sums = config.reduce_dtype == config::ReduceDtype::bf16};
}

/// For all that this thread and its backward compute, if that is to be recorded: the default stream cannot
/// be.
std::optional<c10::Stream> own_stream(bool records, at::Device device) {
  if (!records) return std::nullopt;
  return c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

bool has_frozen(const catalog::Modality& m) {
  return std::ranges::any_of(m.spec.modules, [](const catalog::ModuleSpec& module) {
    return std::ranges::any_of(module.params, [](const catalog::ParamSpec& p) { return !p.trains; });
  });
}

SaverOptions saver_options(const config::RunConfig& config, const catalog::Modalities& modalities,
                           const comm::CommunicatorPtr& comm, const Observer& observer) {
  const config::Checkpoint& wanted = config.checkpoint;
  SaverOptions out{config::checkpoint_folder(config), wanted.keep, wanted.keep_every,
                   wanted.on_error == config::OnSaveError::fail};
  // More than a few do not make a disk faster; where ranks share few cores, steps need them.
  out.threads = std::clamp(static_cast<int>(std::thread::hardware_concurrency()) / comm->size(), 1, 4);
  for (const catalog::Modality& m : modalities)
    if (m.pretrained && has_frozen(m))
      out.references.emplace_back(m.name, catalog::place_of(*m.pretrained).folder.string());
  out.check = [comm] { comm->check(); };
  out.on_copy = observer.on_copy;
  return out;
}

}  // namespace

Trainer::Impl::Impl(const Setup& s, Observer o)
    : config(s.config),
      modalities(s.modalities),
      plan(s.plan),
      comm(s.comm),
      train_data(s.train_data),
      eval_data(s.eval_data),
      answer_ends(s.answer_ends),
      observer(std::move(o)),
      dtype(dtype_of(config.precision)),
      device(s.device),
      peak_flops(s.peak_flops),
      report_lag(s.report_lag),
      cuda_graphs(config.cuda_graphs && device.is_cuda() && !config::rounds_to_fp8(config.precision)),
      stream(own_stream(cuda_graphs, device)),
      rows_per_step(static_cast<std::int64_t>(plan.microbatch_size) * plan.num_microbatches * plan.dp),
      order(order_of_samples(config, modalities, train_data, rows_per_step)),
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
      saver(saver_options(config, modalities, comm, observer), comm->rank(), device) {}

/// Not of ranks that share layers on GPUs: they would have to wait for these to agree.
std::function<bool()> Trainer::Impl::drops(const std::function<bool()>& given) {
  if (given) return given;
  const bool shares = std::ranges::any_of(plan.modalities, [](const auto& m) { return m.tp * m.sp > 1; });
  if (!launch::may_be_killed() || (device.is_cuda() && shares)) return {};
  return [this] { return outlasts_the_launcher(); };
}

/// From then on always: a step that was begun before a drop is known may not be updated for.
bool Trainer::Impl::outlasts_the_launcher() {
  const auto limit = launch::finish_by();
  if (!limit) return false;
  dropping = dropping || !usual_time || std::max(Clock::now(), begun + *usual_time) > *limit;
  return dropping;
}

void Trainer::Impl::begin(std::optional<Clock::duration> usual, int step, const char* phase) {
  comm->at(step, phase);
  begun = Clock::now();
  usual_time = usual;
}

/// A rank that has failed leaves anything in the others' sums.
void Trainer::Impl::take(Report& report, const Sums& sums) const {
  report.read(sums);
  comm->check();
}

Ending Trainer::Impl::run() {
  const Ending out = take_steps();
  if (given_up) throw Failure(*given_up);
  return out;
}

Ending Trainer::Impl::take_steps() {
  launch::stops_wait();
  begin_reading();
  std::optional<telemetry::Progress> starting(std::in_place, "computing the first step");
  if (evaluates(started_at.steps) && course.evaluated != started_at.steps) evaluate(started_at.steps);
  for (int step = started_at.steps; step < config.steps && !ended(); ++step) {
    take_step(step);
    starting.reset();
    if (pause_behind(step)) return ending;
  }
  if (!ended()) finish_saving();
  return ending;
}

void Trainer::Impl::take_step(int step) {
  begin(step_time, step + 1, "training");
  if (tracer) tracer->begin(step);
  RankBatch batch = std::move(upcoming.front());
  upcoming.pop_front();
  Issued out{step, begun, batch.global, batch.bad};
  const Step inputs = to_step(std::move(batch), train_data, step);
  out.skipped = inputs.skipped;
  out.reached = inputs.reached;
  out.spike_above = spike_above(step);
  const pipeline::StepSums sums =
      executor.train(inputs.activity, inputs.anyone, inputs.reached, inputs.inputs);
  const bool more = step + 1 + report_lag < config.steps;
  if (more && !sums.dropped) upcoming.push_back(batches->next());
  issue(std::move(out), inputs, sums, more);
  if (tracer) tracer->issued();
}

bool Trainer::Impl::pause_behind(int step) {
  const bool pauses = evaluates(step + 1) || saves(step + 1);
  if (conclude(pauses ? 0 : report_lag)) return true;
  if (evaluates(step + 1)) evaluate(step + 1);
  if (!saves(step + 1) && !save_due) return false;
  if (conclude(0)) return true;
  begin_saving(!config.checkpoint.async);
  return false;
}

/// The rest of a step: its report on the way, its update done by a device that has the sums.
void Trainer::Impl::issue(Issued out, const Step& inputs, const pipeline::StepSums& sums, bool more) {
  Report& report = out.report;
  report.targets = static_cast<double>(sums.targets);
  // Every rank with text read the same rows; the one whose loss counts reports them.
  if (speaks_for_replica()) {
    report.tokens = static_cast<double>(inputs.tokens);
    report.token_pairs = inputs.token_pairs;
    report.visible_pairs = inputs.visible_pairs;
    report.items = inputs.items;
    report.cut_texts = static_cast<double>(inputs.cut_texts);
  }
  steps_issued = out.step + 1;
  report.previous = times_of(out.step - 1);
  report.dropped = sums.dropped ? 1 : 0;
  report.set_window(out.global.window);
  if (more && config.data.on_bad_sample == config::OnBadSample::skip) {
    const dataio::GlobalBatch& last = upcoming.empty() ? out.global : upcoming.back().global;
    report.next_bad =
        sums.dropped ? std::vector<double>(order(last.after).samples.size()) : upcoming.back().bad;
  }
  report.add_stop(launch::stop_requested());
  report.cut = static_cast<double>(inputs.cut);
  say_saving(report);
  report.save_due = is_due() ? 1 : 0;
  out.sums = report.start(*world, device, sums.loss, optim::squared_norm(executor.segments()));
  update(out, inputs);
  issued.push_back(std::move(out));
}

/// Reads reports until `ahead` are left, or all of them at the run's end; returns whether that has come.
bool Trainer::Impl::conclude(int ahead) {
  while (issued.size() > static_cast<std::size_t>(ended() ? 0 : ahead)) {
    Issued step = std::move(issued.front());
    issued.pop_front();
    Report& report = step.report;
    take(report, step.sums);
    // The batch that this report spoke of, where the first of `upcoming` follows the last step issued.
    const std::size_t spoken_of = static_cast<std::size_t>(report_lag) - issued.size();
    if (!report.next_bad.empty() && spoken_of < upcoming.size()) upcoming[spoken_of].bad = report.next_bad;
    report.require_one_window(comm->size());
    if (const int signal = report.stop_signal(); signal != 0) ending.signal = signal;
    if (report.dropped > 0) ending.dropped = true;
    if (ending.dropped) continue;
    bad_samples.add(step.global.samples, step.bad);
    record(step);
    course.steps = step.step + 1;
    course.position = step.global.after;
    course.window = step.global.window;
    conclude_saving(report);
    save_due = save_due || report.save_due > 0;
  }
  return ended();
}

bool Trainer::Impl::speaks_for_replica() const {
  const plan::Part& last = plan.ranks[static_cast<std::size_t>(comm->rank())].parts.back();
  return last.stage + 1 == static_cast<int>(plan.stages.size()) && last.tp == 0 && last.cp == 0;
}

double Trainer::Impl::learning_rate(int step) const {
  return optim::learning_rate(config.lr_schedule, config.optimizer.lr, step, config.steps);
}

/// Gradients of the summed loss become those of the mean over the global batch's targets, clipped as
/// torch.nn.utils.clip_grad_norm_ does. Without targets, where something is not finite, after a spike that is
/// to be skipped, or if any rank dropped the step, nothing changes. All of it on the device: the host does
/// not know the sums yet.
void Trainer::Impl::update(const Issued& step, const Step& inputs) {
  const at::NoGradGuard no_grad;
  const at::Tensor& sums = step.sums.values;
  const at::Tensor loss = sums[0], targets = sums[1];
  const at::Tensor norm = sums[2].sqrt() / targets;
  at::Tensor sound = (targets > 0).logical_and_(at::isfinite(loss + norm)).logical_and_(sums[3] == 0);
  if (config.optimizer.skip_spikes) sound = sound.logical_and_(loss / targets <= step.spike_above);
  at::Tensor scale = targets.reciprocal();
  const double clip = config.optimizer.grad_clip;
  if (clip > 0) scale = scale * (clip / (norm + 1e-6)).clamp_max_(1.0);
  scale = scale.masked_fill(sound.logical_not(), 0.0);
  const bool on_the_way = optimizer.scales() && !observer.on_gradients;
  if (!on_the_way)
    for (const at::Tensor& gradients : executor.gradients()) gradients.mul_(scale);
  if (observer.on_gradients) observer.on_gradients(step.step, executor.segments());
  std::set<std::string> untouched;
  for (std::size_t m = 0; m < modalities.size(); ++m)
    if (!inputs.reached[m]) untouched.insert(modalities[m].name);
  saver.finish_copying();
  optimizer.step(learning_rate(step.step), untouched, sound, on_the_way ? scale : at::Tensor());
  executor.publish(inputs.reached);
  executor.rescale(sound);
}

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
bool Trainer::save() { return impl_->save(); }

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
