#include "cornstarch/train/trainer.h"

#include <ATen/ops/empty.h>

#include <chrono>
#include <cmath>
#include <set>

#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/dataio/prefetch.h"
#include "cornstarch/dataio/sampler.h"
#include "cornstarch/launch/stop.h"
#include "cornstarch/optim/lr_schedule.h"
#include "cornstarch/optim/optimizer.h"
#include "cornstarch/plan/flops.h"
#include "cornstarch/train/batch.h"
#include "gather.h"
#include "memory.h"
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

pipeline::StoreOptions store_options(const config::RunConfig& config, std::int64_t bucket_bytes) {
  return {bucket_bytes, config.sharding == config::Sharding::zero1,
          config.precision == config::Precision::bf16};
}

/// What a rank of a stage adds to the means over that stage.
struct Times {
  double ranks = 0, compute = 0, bubble = 0, communication = 0, peak_memory = 0;
};

/// What every rank adds to at the end of a step, in one reduction.
struct Report {
  double loss = 0, targets = 0, squared_norm = 0, tokens = 0, token_pairs = 0;
  double signals = 0,
         stoppers = 0;           ///< the numbers of the signals that asked ranks to stop, and how many ranks
  std::vector<Times> previous;   ///< per stage: of the step before
  std::vector<double> next_bad;  ///< samples of the next step that some rank could not read

  std::vector<double*> fields() {
    std::vector<double*> out = {&loss, &targets, &squared_norm, &tokens, &token_pairs, &signals, &stoppers};
    for (Times& t : previous)
      out.insert(out.end(), {&t.ranks, &t.compute, &t.bubble, &t.communication, &t.peak_memory});
    for (double& bad : next_bad) out.push_back(&bad);
    return out;
  }

  void reduce(comm::Group& world, at::Device device) {
    const std::vector<double*> all = fields();
    at::Tensor sums = at::empty({static_cast<std::int64_t>(all.size())}, at::kDouble);
    double* values = sums.data_ptr<double>();
    for (std::size_t i = 0; i < all.size(); ++i) values[i] = *all[i];
    sums = sums.to(device);
    world.all_reduce(sums);
    sums = sums.cpu();
    values = sums.data_ptr<double>();
    for (std::size_t i = 0; i < all.size(); ++i) *all[i] = values[i];
  }
};

}  // namespace

struct Trainer::Impl {
  const config::RunConfig& config;
  const catalog::Modalities& modalities;
  const plan::Plan& plan;
  comm::CommunicatorPtr comm;
  const dataio::Dataset& train_data;
  const dataio::Dataset* eval_data;
  Observer observer;
  int dp;
  at::ScalarType dtype;
  at::Device device;
  std::optional<double> peak_flops;
  std::int64_t global_batch;
  Needs needs;
  comm::GroupPtr world;
  std::optional<Tracer> tracer;
  int steps_done = 0;
  pipeline::Executor executor;
  optim::Optimizer optimizer;

  Impl(const Setup& s, Observer o)
      : config(s.config),
        modalities(s.modalities),
        plan(s.plan),
        comm(s.comm),
        train_data(s.train_data),
        eval_data(s.eval_data),
        observer(std::move(o)),
        dp(plan.ranks[static_cast<std::size_t>(comm->rank())].dp),
        dtype(dtype_of(config.precision)),
        device(s.device),
        peak_flops(s.peak_flops),
        global_batch(static_cast<std::int64_t>(plan.microbatch_size) * plan.num_microbatches * plan.dp),
        needs(needs_of(plan, comm->rank())),
        world(comm->world()),
        tracer(s.traced_steps ? std::optional<Tracer>({*s.traced_steps, plan, comm, device}) : std::nullopt),
        executor(plan, modalities, comm,
                 {{dtype, config.seed, device}, store_options(config, s.bucket_bytes)}),
        optimizer(config.optimizer, executor.segments()) {}

  RankBatch read(const dataio::Dataset& data, std::vector<std::int64_t> samples) const {
    RankBatch batch =
        read_batch(data, std::move(samples), plan, needs, dp, static_cast<int>(modalities.size()) - 1);
    if (!batch.problems.empty() && config.data.on_bad_sample == config::OnBadSample::fail)
      throw Failure(ExitCode::bad_data, join(batch.problems, "\n"),
                    "data.on_bad_sample: skip trains without such samples");
    for (const std::string& problem : batch.problems) log::warning("skipped: " + problem);
    return batch;
  }

  /// Which samples of a batch any rank found bad; free where bad samples end the run anyway.
  std::vector<double> agree_on_bad(const RankBatch& batch) {
    if (config.data.on_bad_sample == config::OnBadSample::fail) return batch.bad;
    Report report;
    report.next_bad = batch.bad;
    report.reduce(*world, device);
    return report.next_bad;
  }

  Step to_step(RankBatch batch, const std::vector<double>& bad, const dataio::Dataset& data) const {
    Step step = assemble(std::move(batch), bad, plan, modalities, dp, data.pad_id(), dtype);
    move_inputs(step.inputs, device);
    return step;
  }

  int run() {
    const dataio::Sampler sampler(train_data.size(), global_batch, config.data.shuffle, config.seed);
    dataio::Prefetcher<RankBatch> batches(
        [&](std::int64_t step) {
          log::set_rank(comm->rank());  // of the thread that reads ahead
          return read(train_data, sampler.global_batch(step));
        },
        0, config.steps, 2);
    std::optional<RankBatch> next;
    std::vector<double> bad;
    if (config.steps > 0) {
      next = batches.next();
      bad = agree_on_bad(*next);
    }
    for (int step = 0; step < config.steps; ++step) {
      const auto begin = Clock::now();
      const Step inputs = to_step(std::move(*next), bad, train_data);
      next.reset();
      Report report = forward_backward(inputs);
      steps_done = step + 1;
      report.previous = times_of(step - 1);
      if (step + 1 < config.steps) next = batches.next();
      if (next && config.data.on_bad_sample == config::OnBadSample::skip) report.next_bad = next->bad;
      report.signals = launch::stop_requested();
      report.stoppers = report.signals > 0 ? 1 : 0;
      report.reduce(*world, device);
      bad = report.next_bad.empty() && next ? next->bad : report.next_bad;
      update(step, inputs, report, begin);
      if (report.stoppers > 0) return static_cast<int>(report.signals / report.stoppers);
      if (config.eval.every > 0 && (step + 1) % config.eval.every == 0 && step + 1 < config.steps)
        evaluate(step + 1);
    }
    evaluate(config.steps);
    return 0;
  }

  Report forward_backward(const Step& step) {
    const pipeline::StepSums sums = executor.train(step.activity, step.reached, step.inputs);
    Report report;
    report.loss = sums.loss;
    report.targets = static_cast<double>(sums.targets);
    // Every rank with text read the same rows; the one whose loss counts reports them.
    if (speaks_for_replica()) {
      report.tokens = static_cast<double>(step.tokens);
      report.token_pairs = step.token_pairs;
    }
    report.squared_norm = optim::squared_norm(executor.segments());
    return report;
  }

  bool speaks_for_replica() const {
    const plan::Part& last = plan.ranks[static_cast<std::size_t>(comm->rank())].parts.back();
    return last.stage + 1 == static_cast<int>(plan.stages.size()) && last.tp == 0 && last.cp == 0;
  }

  /// This rank's share in the times of a step that has ended; traced, if that was asked for.
  std::vector<Times> times_of(int step) {
    std::vector<Times> stages(plan.stages.size());
    if (step < 0) return stages;
    const auto spans = executor.recorder().previous();
    if (tracer && tracer->wants(step)) tracer->add(spans);
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

  void update(int step, const Step& inputs, const Report& report, Clock::time_point begin) {
    telemetry::StepRecord record;
    record.step = step + 1;
    record.lr = optim::learning_rate(config.lr_schedule, config.optimizer.lr, step, config.steps);
    record.tokens = static_cast<std::int64_t>(report.tokens);
    record.target_tokens = static_cast<std::int64_t>(report.targets);
    record.skipped_samples = inputs.skipped;
    const plan::StepFlops flops =
        plan::step_flops(modalities, {report.tokens, report.token_pairs, report.targets, inputs.items});
    record.model_flops = flops.causal;
    record.model_flops_full_attention = flops.full_attention;
    record.previous_step = means(report.previous);
    if (report.targets > 0) {
      record.loss = report.loss / report.targets;
      record.grad_norm = std::sqrt(report.squared_norm) / report.targets;
      if (!std::isfinite(record.loss) || !std::isfinite(record.grad_norm))
        throw Failure(ExitCode::numerics,
                      cat("step ", step + 1, ": loss ", record.loss, ", gradient norm ", record.grad_norm,
                          " is not finite"),
                      "lower optimizer.lr, or add warm-up");
      apply(step, record, inputs, report.targets);
    }
    record.step_time_s = std::chrono::duration<double>(Clock::now() - begin).count();
    record.tokens_per_s = static_cast<double>(record.tokens) / record.step_time_s;
    if (peak_flops) {
      const double possible = *peak_flops * plan.world_size * record.step_time_s;
      record.mfu = record.model_flops / possible;
      record.mfu_full_attention = record.model_flops_full_attention / possible;
    }
    if (observer.on_step) observer.on_step(record);
  }

  /// Gradients of the summed loss become those of the mean over the global batch's targets, clipped as
  /// torch.nn.utils.clip_grad_norm_ does.
  void apply(int step, const telemetry::StepRecord& record, const Step& inputs, double targets) {
    double scale = 1.0 / targets;
    const double clip = config.optimizer.grad_clip;
    if (clip > 0) scale *= std::min(1.0, clip / (record.grad_norm + 1e-6));
    for (const at::Tensor& gradients : executor.gradients()) gradients.mul_(scale);
    if (observer.on_gradients) observer.on_gradients(step, executor.segments());
    std::set<std::string> untouched;
    for (std::size_t m = 0; m < modalities.size(); ++m)
      if (!inputs.reached[m]) untouched.insert(modalities[m].name);
    optimizer.step(record.lr, untouched);
    executor.publish(inputs.reached);
  }

  telemetry::EvalRecord evaluate(std::int64_t step) {
    telemetry::EvalRecord record;
    record.step = step;
    if (eval_data == nullptr) return record;
    const std::int64_t count = std::min<std::int64_t>(config.eval.max_samples, eval_data->size());
    pipeline::StepSums sums;
    for (std::int64_t first = 0; first < count; first += global_batch) {
      std::vector<std::int64_t> samples;
      for (std::int64_t i = first; i < first + global_batch; ++i) samples.push_back(i < count ? i : -1);
      RankBatch batch = read(*eval_data, std::move(samples));
      const std::vector<double> bad = agree_on_bad(batch);
      const Step inputs = to_step(std::move(batch), bad, *eval_data);
      const pipeline::StepSums part = executor.evaluate(inputs.activity, inputs.inputs);
      sums.loss += part.loss;
      sums.targets += part.targets;
      sums.answers += part.answers;
      sums.correct += part.correct;
    }
    Report report;
    report.loss = sums.loss;
    report.targets = static_cast<double>(sums.targets);
    report.next_bad = {static_cast<double>(sums.answers), static_cast<double>(sums.correct)};
    report.reduce(*world, device);
    record.loss = report.targets > 0 ? report.loss / report.targets : 0;
    record.samples = static_cast<std::int64_t>(report.next_bad[0]);
    record.accuracy = record.samples > 0 ? report.next_bad[1] / report.next_bad[0] : 0;
    if (observer.on_eval) observer.on_eval(record);
    return record;
  }
};

Trainer::Trainer(const Setup& setup, Observer observer)
    : impl_(std::make_unique<Impl>(setup, std::move(observer))) {}
Trainer::~Trainer() = default;

int Trainer::run() { return impl_->run(); }

telemetry::EvalRecord Trainer::evaluate(std::int64_t step) { return impl_->evaluate(step); }

std::optional<std::vector<models::NamedTensor>> Trainer::gather(int modality) {
  return gather_modality(impl_->plan, impl_->modalities, *impl_->comm, impl_->executor, modality,
                         at::TensorOptions(impl_->device).dtype(impl_->dtype));
}

void Trainer::write_trace(const std::filesystem::path& path) {
  // The last step's times are taken when the next one begins: here nothing does.
  impl_->executor.recorder().start();
  impl_->times_of(impl_->steps_done - 1);
  if (impl_->tracer) impl_->tracer->write(path);
}

std::vector<models::Parameter*> Trainer::parameters() { return impl_->executor.parameters(); }

}  // namespace cornstarch::train
