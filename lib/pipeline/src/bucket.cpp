#include "bucket.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>

namespace cornstarch::pipeline {
namespace {

/// Where parameters and shares begin: what vector loads and matrix products want.
constexpr std::int64_t kAlignBytes = 16;

std::int64_t round_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

/// Calls back when autograd has added a parameter's gradient.
class AddedHook : public torch::autograd::FunctionPostHook {
 public:
  explicit AddedHook(std::function<void()> added) : added_(std::move(added)) {}
  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                            const torch::autograd::variable_list&) override {
    added_();
    return outputs;
  }

 private:
  std::function<void()> added_;
};

/// Of a parameter's values in the store.
at::ScalarType type_of(const at::Tensor& given, const StoreOptions& options) {
  return options.masters && given.requires_grad() ? options.narrow : given.scalar_type();
}

/// Of all shares together.
std::int64_t size_of(const Bucket& bucket) {
  return round_up(bucket.elements, bucket.unit * (bucket.sharded ? bucket.group->size() : 1));
}

}  // namespace

Range share_of(const Bucket& bucket) {
  const std::int64_t all = size_of(bucket);
  if (!bucket.sharded) return {0, all};
  const std::int64_t size = all / bucket.group->size();
  return {bucket.group->rank() * size, (bucket.group->rank() + 1) * size};
}

void append(Bucket& bucket, const Stored& parameter, const StoreOptions& options) {
  const at::Tensor& value = parameter.parameter->value;
  bucket.places.push_back({parameter, bucket.elements, {}});
  bucket.unit = kAlignBytes / static_cast<std::int64_t>(elementSize(type_of(value, options)));
  bucket.elements = round_up(bucket.elements + value.numel(), bucket.unit);
}

std::shared_ptr<torch::autograd::Node> watch(const Bucket::Place& place, std::function<void()> added) {
  at::Tensor& value = place.stored.parameter->value;
  auto accumulator = torch::autograd::impl::grad_accumulator(value);
  accumulator->add_post_hook(std::make_unique<AddedHook>([&place, &value, added = std::move(added)] {
    // Undefined: added by the product, or nothing that this rank computed depends on it (no target among its
    // tokens).
    if (value.grad().defined()) {
      place.stored.parameter->sum->add(value.grad());
      value.mutable_grad().reset();
    }
    added();
  }));
  return accumulator;
}

void open(const Bucket& bucket, bool adds) {
  for (const Bucket::Place& place : bucket.places) place.stored.parameter->sum->open(place.gradient, adds);
}

void close(const Bucket& bucket) {
  for (const Bucket::Place& place : bucket.places) place.stored.parameter->sum->close();
}

std::vector<Bucket> deal(const std::vector<Stored>& parameters, const StoreOptions& options) {
  std::vector<Bucket> buckets;
  std::vector<Stored> ordered(parameters.rbegin(), parameters.rend());
  std::ranges::stable_partition(ordered, [](const Stored& p) { return !p.over_stages; });
  for (const Stored& p : ordered) {
    const at::Tensor& value = p.parameter->value;
    const auto item = static_cast<std::int64_t>(elementSize(type_of(value, options)));
    const bool fits = !buckets.empty() && buckets.back().group == p.group &&
                      (buckets.back().elements + value.numel()) * item <= options.bucket_bytes;
    if (!fits) {
      buckets.emplace_back().group = p.group;
      buckets.back().sharded = options.sharded && p.group->size() > 1;
      buckets.back().over_stages = p.over_stages;
    }
    append(buckets.back(), p, options);
  }
  return buckets;
}

void lay_out(Bucket& bucket, const StoreOptions& options) {
  const at::NoGradGuard no_grad;
  const bool trains = bucket.places.front().stored.parameter->trains;
  const at::Tensor& given = bucket.places.front().stored.parameter->value;
  const auto values =
      given.options().requires_grad(false).device(options.device).dtype(type_of(given, options));
  const auto gradients = options.masters ? values.dtype(at::kFloat) : values;
  const std::int64_t size = size_of(bucket);
  bucket.values = at::zeros({size}, values);
  if (trains) bucket.gradients = at::zeros({size}, gradients);
  for (Bucket::Place& place : bucket.places) {
    at::Tensor& value = place.stored.parameter->value;
    const at::Tensor here = bucket.values.narrow(0, place.offset, value.numel()).view(value.sizes());
    here.copy_(value);
    if (trains) {
      place.gradient = bucket.gradients.narrow(0, place.offset, value.numel()).view(value.sizes());
      if (options.masters) place.gradient.copy_(value);  // unrounded, until the masters are taken from there
    }
    value.set_data(here);
  }
  const Range own = share_of(bucket);
  bucket.own_values = bucket.values.narrow(0, own.begin, own.size());
  if (!trains) return;
  bucket.own_gradients = bucket.sharded ? at::zeros({own.size()}, gradients) : bucket.gradients;
  if (!options.masters) return;
  bucket.own_masters = bucket.gradients.narrow(0, own.begin, own.size()).clone();
  bucket.gradients.zero_();
}

at::Tensor leaving(const Bucket& bucket, const StoreOptions& options) {
  const bool rounded = options.masters && options.narrow_sums && bucket.group->size() > 1;
  return rounded ? bucket.gradients.to(options.narrow) : bucket.gradients;
}

void add_segments(const Bucket& bucket, std::vector<Segment>& segments) {
  const Range own = share_of(bucket);
  const bool speaks = bucket.sharded || bucket.group->rank() == 0;
  const Range saved = bucket.sharded ? own : share(own.size(), bucket.group->size(), bucket.group->rank());
  for (const Bucket::Place& place : bucket.places) {
    const models::Parameter& p = *place.stored.parameter;
    const std::int64_t first = std::max(place.offset, own.begin);
    const std::int64_t last = std::min(place.offset + p.value.numel(), own.end);
    if (first >= last) continue;
    const auto run = [&](const at::Tensor& share) {
      return share.defined() ? share.narrow(0, first - own.begin, last - first) : share;
    };
    Segment& segment = segments.emplace_back();
    segment = {&p,
               first - place.offset,
               run(bucket.own_values),
               run(bucket.own_masters),
               run(bucket.own_gradients),
               place.stored.counts && speaks};
    if (place.stored.counts)
      segment.saves = {std::clamp(saved.begin, first, last) - first,
                       std::clamp(saved.end, first, last) - first};
  }
}

}  // namespace cornstarch::pipeline
