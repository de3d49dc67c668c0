#include "harness.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <mutex>

#include "collective_order.h"
#include "cornstarch/base/text.h"
#include "cornstarch/train/trainer.h"

namespace cornstarch::test {
namespace {

/// An element that no shard has been written to yet.
constexpr double kUnset = 1e300;

/// How many times one rank's own rounding error a layout's may be: one rank's is a single draw, which
/// instruction sets decide, and was seen exceeded 4.5 times. What is computed or summed in a narrower type is
/// thousands of times off.
constexpr double kRoundings = 16;

/// Puts a shard into its global tensor, or compares it with what another rank has put there.
class Gatherer {
 public:
  explicit Gatherer(Outcome& outcome) : outcome_(outcome) {}

  /// What this rank updates of a parameter's gradient; where others update the rest, it stays unset here.
  void gradients(const std::vector<pipeline::Segment>& segments) {
    for (const pipeline::Segment& s : segments) {
      const at::Tensor shard = at::full({s.parameter->value.numel()}, kUnset, at::kDouble);
      shard.narrow(0, s.begin, s.gradient.numel()).copy_(s.gradient);
      add(outcome_.gradients, *s.parameter, shard.view(s.parameter->value.sizes()));
    }
  }
  void parameters(const std::vector<models::Parameter*>& parameters, bool first_replica) {
    for (const models::Parameter* p : parameters) {
      add(outcome_.parameters, *p, p->value.detach());
      if (first_replica && p->counts && p->tied_to.empty()) outcome_.covered[name_of(*p)] += p->value.numel();
    }
  }

 private:
  /// A tied copy carries the value and the whole gradient of the parameter it is tied to.
  static std::string name_of(const models::Parameter& p) {
    return p.tied_to.empty() ? p.full_name() : p.tied_to;
  }

  void add(std::map<std::string, at::Tensor>& all, const models::Parameter& p, const at::Tensor& shard) {
    at::Tensor& whole = all[name_of(p)];
    if (!whole.defined()) whole = at::zeros(p.spec->shape, at::kDouble).fill_(kUnset);
    at::Tensor place = p.split_dim < 0 ? whole : whole.narrow(p.split_dim, p.offset, shard.size(p.split_dim));
    const at::Tensor value = shard.to(at::kDouble);
    if (place.numel() == 0) return;
    const at::Tensor twice = (place != kUnset).logical_and_(value != kUnset);
    outcome_.replica_difference = std::max(
        outcome_.replica_difference, (place - value).masked_fill_(~twice, 0).abs().max().item<double>());
    place.copy_(at::where(place == kUnset, value, place));
  }

  Outcome& outcome_;
};

double rms(const std::map<std::string, at::Tensor>& tensors) {
  double sum = 0, count = 0;
  for (const auto& [_, t] : tensors) {
    sum += t.square().sum().item<double>();
    count += static_cast<double>(t.numel());
  }
  return count > 0 ? std::sqrt(sum / count) : 0;
}

/// An outcome held against what one rank computes in fp64.
class Comparison {
 public:
  /// `own`: what one rank computes in the outcome's type; nullptr where that is fp64.
  Comparison(const Outcome& want, const Outcome* own, double unit, bool partial)
      : want_(want), own_(own), unit_(unit), partial_(partial) {}

  template <typename T>
  void numbers(const std::string& what, const Outcome& got, const std::vector<T> Outcome::* member) {
    const at::Tensor want = tensor(want_.*member);
    if ((got.*member).size() != (want_.*member).size())
      return say(cat(what, ": ", (got.*member).size(), " numbers instead of ", want.numel()));
    const double scale = scale_of(want, 0);
    const double rounding = own_ && scale > 0 ? distance(tensor(own_->*member), want) / scale : 0;
    check(what, tensor(got.*member), want, rounding, 0);
  }

  void exactly(const std::string& what, const std::vector<std::int64_t>& got,
               const std::vector<std::int64_t>& want) {
    if (got != want) say(cat(what, " differs"));
  }

  void tensors(const std::string& what, const Outcome& got,
               const std::map<std::string, at::Tensor> Outcome::* member) {
    const double floor = 1e-3 * rms(want_.*member);
    const double rounding = own_ ? worst(own_->*member, want_.*member, floor) : 0;
    for (const auto& [name, want] : want_.*member) {
      const auto it = (got.*member).find(name);
      if (it != (got.*member).end()) {
        const at::Tensor value = partial_ ? at::where(it->second == kUnset, want, it->second) : it->second;
        check(cat(what, " of ", name), value, want, rounding, floor);
      } else if (!partial_) {
        say(cat(what, " of ", name, " is missing"));
      }
    }
    for (const auto& [name, _] : got.*member)
      if ((want_.*member).count(name) == 0) say(cat(what, " of ", name, " is not in the reference"));
  }

  void say(std::string line) { lines_.push_back(std::move(line)); }
  std::vector<std::string> take() { return std::move(lines_); }

 private:
  template <typename T>
  static at::Tensor tensor(const std::vector<T>& values) {
    const at::Tensor out = at::zeros({std::ssize(values)}, at::kDouble);
    for (std::size_t i = 0; i < values.size(); ++i)
      out[static_cast<std::int64_t>(i)] = static_cast<double>(values[i]);
    return out;
  }
  static double distance(const at::Tensor& a, const at::Tensor& b) {
    return a.numel() == 0 ? 0 : (a - b).abs().max().item<double>();
  }

  static double scale_of(const at::Tensor& want, double floor) {
    return std::max(want.numel() == 0 ? 0 : want.abs().max().item<double>(), floor);
  }
  /// The error of the tensor that has the largest, as a share of its scale: that of one tensor alone may
  /// happen to be small.
  static double worst(const std::map<std::string, at::Tensor>& own,
                      const std::map<std::string, at::Tensor>& want, double floor) {
    double out = 0;
    for (const auto& [name, reference] : want)
      if (const double scale = scale_of(reference, floor); scale > 0)
        out = std::max(out, distance(own.at(name), reference) / scale);
    return out;
  }

  /// `rounding`: one rank's own error in the outcome's type, as a share of the scale.
  void check(const std::string& what, const at::Tensor& got, const at::Tensor& want, double rounding,
             double floor) {
    const double scale = scale_of(want, floor);
    const double allowed = own_ ? kRoundings * rounding + 8 * unit_ : 1e-9;
    const double error = distance(got, want);
    if (!(error <= allowed * scale)) say(cat(what, " differs by ", error / scale, " of ", allowed));
  }

  const Outcome& want_;
  const Outcome* own_;
  double unit_;
  bool partial_;
  std::vector<std::string> lines_;
};

/// The distance from 1 to the next number.
double unit_of(config::Precision precision) {
  switch (precision) {
    case config::Precision::fp64:
    case config::Precision::fp8_in_fp64:
      return std::ldexp(1, -52);
    case config::Precision::fp32:
      return std::ldexp(1, -23);
    case config::Precision::bf16:
    case config::Precision::bf16_pure:
    case config::Precision::fp8:
      return std::ldexp(1, -7);
  }
  return 0;
}

}  // namespace

std::string Trial::name() const {
  return cat(layout.name, optimizer == config::OptimizerType::sgd ? ", sgd" : ", adamw", ", ",
             config::name_of(precision));
}

std::vector<Trial> trials_of(const LayoutCase& layout) {
  using enum config::OptimizerType;
  using enum config::Precision;
  return {{layout, sgd, fp64}, {layout, adamw, fp64}, {layout, adamw, fp32}};
}

struct Run::Impl {
  config::RunConfig config;
  catalog::Modalities modalities;
  plan::Plan plan;
  SyntheticDataset data;
  std::mutex mutex;

  static config::RunConfig configure(const Trial& trial, bool single) {
    config::RunConfig config = run_config(trial.layout, single);
    config.optimizer.type = trial.optimizer;
    config.optimizer.lr = trial.optimizer == config::OptimizerType::sgd ? 0.05 : 1e-3;
    config.optimizer.momentum = trial.optimizer == config::OptimizerType::sgd ? 0.9 : 0.0;
    // Some gradients are zero but for rounding (a k_proj's bias): a large eps keeps AdamW from blowing them
    // up.
    config.optimizer.eps = 1e-3;
    config.optimizer.grad_clip = trial.optimizer == config::OptimizerType::sgd ? 1.0 : 0.01;
    config.precision = trial.precision;
    if (trial.lr > 0) config.optimizer.lr = trial.lr;
    config.eval.max_samples = 5;  // of a global batch of more: the last replica has none of them
    return config;
  }

  /// Where no rank holds a whole shard: as they are written.
  void gather_values(train::Trainer& trainer, Outcome& outcome) {
    for (const models::Parameter* p : trainer.parameters()) {
      const std::lock_guard lock(mutex);
      outcome.whole_bytes += p->value.storage().nbytes();
    }
    gather(trainer, trainer.dtype(), outcome.parameters);
    const std::lock_guard lock(mutex);
    for (const auto& [name, value] : outcome.parameters) outcome.covered[name] = value.numel();
  }

  void gather(train::Trainer& trainer, at::ScalarType dtype, std::map<std::string, at::Tensor>& into) {
    for (std::size_t m = 0; m < modalities.size(); ++m) {
      const auto tensors = trainer.gather(static_cast<int>(m), dtype);
      if (!tensors) continue;
      const std::lock_guard lock(mutex);
      for (const models::NamedTensor& t : *tensors)
        into[modalities[m].name + "/" + t.name] = t.value.to(at::kDouble);
    }
  }

  Impl(const Trial& trial, bool single)
      : config(configure(trial, single)),
        modalities(modalities_of(trial.layout, config)),
        plan(
            value_or_throw(plan::make_plan(config, modalities, single ? 1 : test::world_size(trial.layout)))),
        data(modalities, config.batch.sequence_length, trial.layout.mix) {}
};

Run::Run(const Trial& trial, bool single) : impl_(std::make_unique<Impl>(trial, single)) {}
Run::~Run() = default;

const plan::Plan& Run::plan() const { return impl_->plan; }

void Run::rank(const comm::CommunicatorPtr& comm, Outcome& outcome, bool records) {
  Gatherer gatherer(outcome);
  train::Observer observer;
  if (records) {
    observer.on_step = [&](const telemetry::StepRecord& r) {
      outcome.losses.push_back(r.loss);
      outcome.norms.push_back(r.grad_norm);
      outcome.targets.push_back(r.target_tokens);
      outcome.tokens.push_back(r.tokens);
    };
    observer.on_eval = [&](const telemetry::EvalRecord& r) {
      outcome.eval_loss = {r.loss};
      outcome.eval_accuracy = {r.accuracy};
      outcome.eval_samples = {r.samples};
    };
  }
  observer.on_gradients = [&](std::int64_t step, const std::vector<pipeline::Segment>& segments) {
    const std::lock_guard lock(impl_->mutex);
    // Products that round begin to do so in the second step.
    if (step == (config::rounds_to_fp8(impl_->config.precision) ? 1 : 0)) gatherer.gradients(segments);
  };
  // Small buckets, so that several are under way at once.
  train::Trainer trainer(
      {impl_->config, impl_->modalities, impl_->plan, comm, impl_->data, &impl_->data, 4096}, observer);
  trainer.run();
  if (config::has_masters(impl_->config.precision)) impl_->gather(trainer, at::kFloat, outcome.unrounded);
  if (impl_->config.sharding == config::Sharding::zero3) return impl_->gather_values(trainer, outcome);
  const auto parameters = trainer.parameters();  // may wait for other ranks: before the lock
  const std::lock_guard lock(impl_->mutex);
  const plan::RankPlan& me = impl_->plan.ranks[static_cast<std::size_t>(comm->rank())];
  gatherer.parameters(parameters, me.dp == 0 && me.parts.front().cp == 0);
}

Outcome run_as_threads(const Trial& trial) {
  Outcome outcome;
  Run run(trial, false);
  CollectiveOrder order(run.plan().world_size);
  comm::run_threads(
      run.plan().world_size, {std::chrono::seconds(60)},
      [&](const comm::CommunicatorPtr& comm) { run.rank(order.watched(comm), outcome, comm->rank() == 0); });
  outcome.disorder = order.conflicts();
  const auto unplanned = order.unplanned(run.plan());
  outcome.disorder.insert(outcome.disorder.end(), unplanned.begin(), unplanned.end());
  return outcome;
}

const Outcome& reference(const Trial& trial) {
  static std::map<std::string, Outcome> cache;
  const LayoutCase& c = trial.layout;
  std::string key =
      cat(c.llm, c.train_llm, " ", c.dp * c.num_microbatches, "x", c.microbatch_size, " ", c.mix.media,
          c.mix.text_tail, c.mix.no_targets, c.first_fit, " ", static_cast<int>(c.mask), " ",
          static_cast<int>(trial.optimizer), static_cast<int>(trial.precision));
  key += cat(c.own_rates, c.llm_lora, c.lora_dropout, join(c.llm_listed.only, "+"), "-",
             join(c.llm_listed.except, "+"));
  for (const auto& e : c.encoders)
    key += cat(" ", e.family, e.train_encoder, e.train_projector, e.feature_layer, e.patch_only,
               config::name_of(e.projector), e.avg_pool, e.lora, e.own_sizes, e.merged,
               join(e.listed.only, "+"), "-", join(e.listed.except, "+"));
  auto it = cache.find(key);
  if (it == cache.end()) {
    it = cache.emplace(key, Outcome{}).first;
    Run run(trial, true);
    run.rank(comm::alone(), it->second, true);
  }
  return it->second;
}

std::vector<std::string> differences(const Outcome& got, const Trial& trial, bool partial) {
  Trial exact = trial;
  if (!config::rounds_to_fp8(trial.precision)) exact.precision = config::Precision::fp64;
  const bool narrow = trial.precision != exact.precision;
  const Outcome& want = reference(exact);
  Comparison compare(want, narrow ? &reference(trial) : nullptr, unit_of(trial.precision), partial);
  for (const std::string& line : got.disorder) compare.say(line);
  compare.numbers("loss", got, &Outcome::losses);
  compare.numbers("gradient norm", got, &Outcome::norms);
  compare.exactly("number of targets", got.targets, want.targets);
  compare.exactly("number of tokens", got.tokens, want.tokens);
  compare.exactly("number of evaluated samples", got.eval_samples, want.eval_samples);
  compare.numbers("evaluation loss", got, &Outcome::eval_loss);
  compare.numbers("evaluation accuracy", got, &Outcome::eval_accuracy);
  compare.tensors("gradient", got, &Outcome::gradients);
  compare.tensors("value", got, &Outcome::parameters);
  if (!partial && got.covered != want.covered) compare.say("the shards do not cover every parameter once");
  if (got.whole_bytes > 0) compare.say(cat(got.whole_bytes, " bytes are whole on a rank that shares them"));
  if (got.replica_difference > 0) compare.say(cat("replicas differ by ", got.replica_difference));
  return compare.take();
}

}  // namespace cornstarch::test
