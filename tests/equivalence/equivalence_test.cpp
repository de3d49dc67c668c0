// Every layout computes what one rank computes: loss, gradient norm, every gradient, and every parameter
// after three steps, with different data on every replica.

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <map>
#include <mutex>

#include "catch.h"
#include "cornstarch/base/text.h"
#include "cornstarch/train/trainer.h"
#include "layouts.h"

using namespace cornstarch;
using test::LayoutCase;

namespace {

/// A run's numbers with every tensor put together from its shards, in fp64.
struct Outcome {
  std::vector<double> losses, norms;
  std::vector<std::int64_t> targets, tokens;
  std::map<std::string, at::Tensor> gradients, parameters;
  std::map<std::string, std::int64_t> covered;  ///< elements of each parameter that replica 0's ranks hold
  double replica_difference = 0;                ///< between shards that different ranks hold alike
};

/// Puts a shard into its global tensor, or compares it with what another rank has put there.
class Gatherer {
 public:
  explicit Gatherer(Outcome& outcome) : outcome_(outcome) {}

  void gradients(const std::vector<models::Parameter*>& parameters) {
    const std::lock_guard lock(mutex_);
    for (const models::Parameter* p : parameters)
      if (p->trains) add(outcome_.gradients, *p, p->value.grad());
  }
  void parameters(const std::vector<models::Parameter*>& parameters, bool first_replica) {
    const std::lock_guard lock(mutex_);
    for (const models::Parameter* p : parameters) {
      add(outcome_.parameters, *p, p->value.detach());
      if (first_replica && p->counts) outcome_.covered[name_of(*p)] += p->value.numel();
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
    if (place.flatten()[0].item<double>() == kUnset) {
      place.copy_(value);
    } else {
      outcome_.replica_difference =
          std::max(outcome_.replica_difference, (place - value).abs().max().item<double>());
    }
  }

  static constexpr double kUnset = 1e300;
  Outcome& outcome_;
  std::mutex mutex_;
};

Outcome run(const LayoutCase& c, config::OptimizerType optimizer, config::Precision precision, bool single) {
  config::RunConfig config = test::run_config(c, single);
  config.optimizer.type = optimizer;
  config.optimizer.momentum = optimizer == config::OptimizerType::sgd ? 0.9 : 0.0;
  config.optimizer.eps = 1e-3;
  config.precision = precision;
  const catalog::Modalities modalities = test::resolve_or_throw(config);
  const int world = single ? 1 : test::world_size(c);
  const plan::Plan plan = value_or_throw(plan::make_plan(config, modalities, world));
  const test::SyntheticDataset data(modalities, config.batch.sequence_length, c.mix);
  Outcome out;
  Gatherer gatherer(out);
  comm::run_threads(world, {std::chrono::seconds(60)}, [&](const comm::CommunicatorPtr& comm) {
    train::Observer observer;
    if (comm->rank() == 0)
      observer.on_step = [&](const telemetry::StepRecord& r) {
        out.losses.push_back(r.loss);
        out.norms.push_back(r.grad_norm);
        out.targets.push_back(r.target_tokens);
        out.tokens.push_back(r.tokens);
      };
    observer.on_gradients = [&](std::int64_t step, const std::vector<models::Parameter*>& parameters) {
      if (step == 0) gatherer.gradients(parameters);
    };
    // Small buckets, so that several are under way at once.
    train::Trainer trainer({config, modalities, plan, comm, data, nullptr, 4096}, observer);
    trainer.run();
    gatherer.parameters(trainer.parameters(), plan.ranks[static_cast<std::size_t>(comm->rank())].dp == 0);
  });
  return out;
}

double rms(const std::map<std::string, at::Tensor>& tensors) {
  double sum = 0, count = 0;
  for (const auto& [_, t] : tensors) {
    sum += t.square().sum().item<double>();
    count += static_cast<double>(t.numel());
  }
  return count > 0 ? std::sqrt(sum / count) : 0;
}

/// The tensors that differ by more than tol x max(max|reference|, 1e-3 x RMS of all).
std::vector<std::string> differences(const std::map<std::string, at::Tensor>& got,
                                     const std::map<std::string, at::Tensor>& want, double tol) {
  std::vector<std::string> out;
  const double floor = 1e-3 * rms(want);
  for (const auto& [name, reference] : want) {
    const auto it = got.find(name);
    if (it == got.end()) {
      out.push_back(name + " is missing");
      continue;
    }
    const double scale = std::max(reference.abs().max().item<double>(), floor);
    const double delta = (it->second - reference).abs().max().item<double>();
    if (!(delta <= tol * scale)) out.push_back(cat(name, " differs by ", delta / scale));
  }
  for (const auto& [name, _] : got)
    if (want.count(name) == 0) out.push_back(name + " is not in the reference");
  return out;
}

void compare(const Outcome& got, const Outcome& want, double tol) {
  REQUIRE(got.losses.size() == 3);
  CHECK(got.targets == want.targets);
  CHECK(got.tokens == want.tokens);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(std::abs(got.losses[i] - want.losses[i]) <= tol * std::abs(want.losses[i]));
    CHECK(std::abs(got.norms[i] - want.norms[i]) <= tol * std::abs(want.norms[i]));
  }
  CHECK(differences(got.gradients, want.gradients, tol) == std::vector<std::string>{});
  CHECK(differences(got.parameters, want.parameters, tol) == std::vector<std::string>{});
  CHECK(got.covered == want.covered);
  CHECK(got.replica_difference <= tol);
}

/// References are shared by layouts of the same model and batch.
const Outcome& reference(const LayoutCase& c, config::OptimizerType optimizer, config::Precision precision) {
  static std::map<std::string, Outcome> cache;
  std::string key =
      cat(c.llm, c.train_llm, " ", c.dp * c.num_microbatches, "x", c.microbatch_size, " ", c.mix.media,
          c.mix.text_tail, c.mix.no_targets, " ", static_cast<int>(optimizer), static_cast<int>(precision));
  for (const auto& e : c.encoders)
    key += cat(" ", e.family, e.train_encoder, e.train_projector, e.feature_layer, e.patch_only, e.mlp);
  auto it = cache.find(key);
  if (it == cache.end()) it = cache.emplace(key, run(c, optimizer, precision, true)).first;
  return it->second;
}

}  // namespace

TEST_CASE("every layout computes what one rank computes") {
  const auto cases = test::layout_cases();
  REQUIRE(cases.size() >= 60);
  for (const LayoutCase& c : cases) {
    for (const auto optimizer : {config::OptimizerType::sgd, config::OptimizerType::adamw}) {
      for (const auto precision : {config::Precision::fp64, config::Precision::fp32}) {
        const std::string what = cat(c.name, optimizer == config::OptimizerType::sgd ? ", sgd" : ", adamw",
                                     precision == config::Precision::fp64 ? ", fp64" : ", fp32");
        INFO(what);
        const double tol = precision == config::Precision::fp64 ? 1e-9 : 1e-5;
        compare(run(c, optimizer, precision, false), reference(c, optimizer, precision), tol);
      }
    }
  }
}
