#include "cornstarch/pipeline/reducer.h"

#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

namespace cornstarch::pipeline {
namespace {

struct Bucket {
  comm::GroupPtr group;
  std::vector<models::Parameter*> parameters;
  std::int64_t elements = 0;
  at::Tensor flat;
  std::size_t missing = 0;  ///< gradients that the last backward has still to add
  comm::WorkPtr work;
};

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

}  // namespace

struct GradientReducer::Impl {
  std::vector<Bucket> buckets;
  std::vector<at::Tensor> flats;
  std::vector<std::shared_ptr<torch::autograd::Node>> accumulators;  // alive, or their hooks would be lost
  std::size_t next = 0;                                              // the first bucket that has not left
  bool last = false;

  void deal(const std::vector<Reduced>& parameters, std::int64_t bucket_bytes) {
    for (std::size_t i = parameters.size(); i-- > 0;) {
      const Reduced& p = parameters[i];
      const std::int64_t bytes =
          p.parameter->value.numel() * static_cast<std::int64_t>(p.parameter->value.element_size());
      const bool fits =
          !buckets.empty() && buckets.back().group == p.group &&
          buckets.back().elements * static_cast<std::int64_t>(p.parameter->value.element_size()) + bytes <=
              bucket_bytes;
      if (!fits) buckets.push_back({p.group, {}, 0, {}, 0, {}});
      buckets.back().parameters.push_back(p.parameter);
      buckets.back().elements += p.parameter->value.numel();
    }
  }

  /// Makes every gradient a view into its bucket; autograd adds in place where a gradient is there already.
  void lay_out(Bucket& bucket) {
    bucket.flat =
        at::zeros({bucket.elements}, bucket.parameters.front()->value.options().requires_grad(false));
    std::int64_t offset = 0;
    for (models::Parameter* p : bucket.parameters) {
      p->value.mutable_grad() = bucket.flat.narrow(0, offset, p->value.numel()).view(p->value.sizes());
      offset += p->value.numel();
    }
    flats.push_back(bucket.flat);
  }

  void watch(std::size_t index) {
    for (models::Parameter* p : buckets[index].parameters) {
      auto accumulator = torch::autograd::impl::grad_accumulator(p->value);
      accumulator->add_post_hook(std::make_unique<AddedHook>([this, index] { added(index); }));
      accumulators.push_back(std::move(accumulator));
    }
  }

  void added(std::size_t index) {
    if (!last) return;
    --buckets[index].missing;
    while (next < buckets.size() && buckets[next].missing == 0) leave();
    for (std::size_t i = 0; i < next; ++i) (void)buckets[i].work->done();  // lets the backend make progress
  }

  void leave() {
    Bucket& bucket = buckets[next++];
    bucket.work = bucket.group->start_all_reduce(bucket.flat, comm::Reduce::sum);
  }
};

GradientReducer::GradientReducer(const std::vector<Reduced>& parameters, std::int64_t bucket_bytes)
    : impl_(std::make_unique<Impl>()) {
  impl_->deal(parameters, bucket_bytes);
  for (std::size_t i = 0; i < impl_->buckets.size(); ++i) {
    impl_->lay_out(impl_->buckets[i]);
    impl_->watch(i);
  }
}

GradientReducer::~GradientReducer() = default;

void GradientReducer::start_step() {
  for (Bucket& bucket : impl_->buckets) bucket.flat.zero_();
  impl_->next = 0;
  impl_->last = false;
}

void GradientReducer::last_backward() {
  for (Bucket& bucket : impl_->buckets) bucket.missing = bucket.parameters.size();
  impl_->last = true;
}

void GradientReducer::finish() {
  while (impl_->next < impl_->buckets.size()) impl_->leave();
  for (Bucket& bucket : impl_->buckets) {
    bucket.work->wait();
    bucket.work.reset();
  }
  impl_->last = false;
}

const std::vector<at::Tensor>& GradientReducer::buckets() const { return impl_->flats; }

}  // namespace cornstarch::pipeline
