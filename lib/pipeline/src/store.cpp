#include "cornstarch/pipeline/store.h"

#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/function.h>

#include <map>
#include <ranges>
#include <set>

#include "bucket.h"

namespace cornstarch::pipeline {

struct ParameterStore::Impl {
  std::vector<Bucket> buckets;
  std::vector<Segment> segments;
  std::vector<at::Tensor> gradients;
  std::vector<std::shared_ptr<torch::autograd::Node>> accumulators;  // alive, or their hooks would be lost
  std::size_t next = 0;                                              // the first bucket that has not left
  std::size_t arrived = 0;                                           // the first that is still under way
  bool last = false;
  StoreOptions options;
  std::map<int, std::set<std::size_t>> of_module;  // the buckets with its values

  void added(std::size_t index) {
    if (!last) return;
    --buckets[index].missing;
    while (next < buckets.size() && buckets[next].missing == 0 && !buckets[next].over_stages) leave();
    while (arrived < next && buckets[arrived].work->done()) ++arrived;  // lets the backend make progress
  }

  void leave() {
    Bucket& bucket = buckets[next++];
    arrive(bucket);
    close(bucket);
    const at::Tensor sent = leaving(bucket, options);
    const bool rounded = !sent.is_same(bucket.gradients);
    bucket.sum = bucket.sharded && rounded ? at::empty_like(bucket.own_gradients, sent.options())
                 : bucket.sharded          ? bucket.own_gradients
                                           : sent;
    bucket.work = bucket.sharded ? bucket.group->start_reduce_scatter(bucket.sum, sent)
                                 : bucket.group->start_all_reduce(bucket.sum, comm::Reduce::sum);
  }

  static void arrive(Bucket& bucket) {
    if (bucket.work) bucket.work->wait();
    bucket.work.reset();
    if (bucket.sum.defined()) bucket.own_gradients.copy_(bucket.sum);
    bucket.sum.reset();
  }

  void wait() {
    for (Bucket& bucket : buckets) arrive(bucket);
  }
};

ParameterStore::ParameterStore(const std::vector<Stored>& parameters, StoreOptions options)
    : impl_(std::make_unique<Impl>()) {
  impl_->buckets = deal(parameters, options);
  impl_->options = options;
  for (std::size_t i = 0; i < impl_->buckets.size(); ++i) {
    Bucket& bucket = impl_->buckets[i];
    lay_out(bucket, options);
    add_segments(bucket, impl_->segments);
    impl_->gradients.push_back(bucket.own_gradients);
    for (const Bucket::Place& place : bucket.places) {
      impl_->accumulators.push_back(watch(place, [impl = impl_.get(), i] { impl->added(i); }));
      impl_->of_module[place.stored.module].insert(i);
    }
  }
}

ParameterStore::~ParameterStore() = default;

void ParameterStore::start_step(bool reached) {
  for (Bucket& bucket : impl_->buckets) {
    if (!reached) bucket.own_gradients.zero_();
    if (reached && impl_->options.zeroes) bucket.gradients.zero_();
    if (reached) open(bucket, impl_->options.zeroes);
  }
  impl_->next = impl_->arrived = 0;
  impl_->last = false;
}

void ParameterStore::last_backward() {
  for (Bucket& bucket : impl_->buckets) bucket.missing = bucket.places.size();
  impl_->last = true;
}

void ParameterStore::finish() {
  while (impl_->next < impl_->buckets.size()) impl_->leave();
  impl_->wait();
  impl_->last = false;
}

const std::vector<Segment>& ParameterStore::segments() const { return impl_->segments; }
const std::vector<at::Tensor>& ParameterStore::gradients() const { return impl_->gradients; }

void ParameterStore::publish() {
  for (Bucket& bucket : impl_->buckets | std::views::reverse)
    if (bucket.sharded) bucket.work = bucket.group->start_all_gather(bucket.values, bucket.own_values);
}

void ParameterStore::settle() { impl_->wait(); }

void ParameterStore::begin_forward() {
  if (!impl_->options.observes) settle();
}

void ParameterStore::before_forward(int module) {
  for (const std::size_t i : impl_->of_module[module]) Impl::arrive(impl_->buckets[i]);
}

}  // namespace cornstarch::pipeline
