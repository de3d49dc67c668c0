#include "cornstarch/pipeline/module_store.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/function.h>

#include <algorithm>
#include <deque>
#include <map>

#include "bucket.h"
#include "cornstarch/base/result.h"

namespace cornstarch::pipeline {
namespace {

/// Frees a tensor's memory and keeps the tensor, which views and autograd's saved variables know.
void free_memory(const at::Tensor& tensor) {
  c10::StorageImpl* storage = tensor.storage().unsafeGetStorageImpl();
  storage->set_data_ptr_noswap(at::DataPtr(nullptr, storage->device()));
  storage->set_nbytes(0);
}

void allocate_memory(const at::Tensor& tensor) {
  c10::StorageImpl* storage = tensor.storage().unsafeGetStorageImpl();
  const std::size_t bytes = tensor.nbytes();
  storage->set_data_ptr_noswap(storage->allocator()->allocate(bytes));
  storage->set_nbytes(bytes);
}

/// A bucket whose whole memory comes and goes; the shares stay.
struct Kept {
  Bucket bucket;
  int users = 0;            ///< passes and holders that need the values
  bool collecting = false;  ///< there is room for gradients
  bool trains() const { return bucket.gradients.defined(); }
};

using KeptList = std::vector<Kept*>;

/// Visits of modules in their order; see enter().
struct Pass {
  const std::vector<int>* order = nullptr;
  std::size_t entered = 0, gathered = 0;
  bool backward = false;
};

}  // namespace

struct ModuleStore::Impl {
  StoreOptions options;
  std::deque<Kept> kept;              // never moves: hooks know its places
  std::map<int, KeptList> of_module;  // what a module computes with
  std::map<int, KeptList>
      own;  // without what it shares with one before it, whose backward ends what both add up
  std::vector<int> forward, backward;  // modules in the order of their visits
  std::vector<Segment> segments;
  std::vector<at::Tensor> gradients;
  std::vector<std::shared_ptr<torch::autograd::Node>> accumulators;
  Pass pass;

  /// A sum on its way.
  struct Reduction {
    Kept* kept = nullptr;
    at::Tensor share;
    comm::WorkPtr work;
  };
  std::vector<Reduction> reductions;

  // --- Building
  // -----------------------------------------------------------------------------------------------

  void add(const StoredModule& module, const Fill& fill) {
    KeptList list;
    for (const Stored& p : module.parameters) append(bucket_for(p, list), p, options);
    for (Kept* k : list) {
      fill_share(k->bucket, options, fill);
      share_out(*k);
    }
    own[module.module] = list;
    if (module.values_of >= 0) {
      const KeptList& others = of_module.at(module.values_of);
      list.insert(list.end(), others.begin(), others.end());
    }
    of_module[module.module] = std::move(list);
    if (module.used) forward.push_back(module.module);
    if (module.used && module.backward) backward.insert(backward.begin(), module.module);
  }

  /// The bucket of a module whose parameters live in the same group and train alike.
  Bucket& bucket_for(const Stored& p, KeptList& list) {
    for (Kept* k : list) {
      const Stored& other = k->bucket.places.front().stored;
      if (other.group == p.group && other.parameter->trains == p.parameter->trains) return k->bucket;
    }
    Bucket& bucket = kept.emplace_back().bucket;
    bucket.group = p.group;
    bucket.sharded = true;
    list.push_back(&kept.back());
    return bucket;
  }

  /// Gives the bucket's parameters memory where they are kept, and this rank's share of it its values.
  static void fill_share(Bucket& bucket, const StoreOptions& options, const Fill& fill) {
    const Range own = share_of(bucket);
    for (Bucket::Place& place : bucket.places) {
      models::Parameter& p = *place.stored.parameter;
      if (p.value.device() != options.device)
        p.value.set_data(at::empty(p.value.sizes(), p.value.options().device(options.device)));
      const auto within = [&](std::int64_t i) {
        return std::clamp<std::int64_t>(i - place.offset, 0, p.value.numel());
      };
      fill(p, {within(own.begin), within(own.end)});
    }
  }

  /// Takes this rank's share of the values; the whole of them goes.
  void share_out(Kept& k) {
    lay_out(k.bucket, options);
    k.bucket.own_values = k.bucket.own_values.clone();
    free_memory(k.bucket.values);
    if (!k.trains()) return;
    add_segments(k.bucket, segments);
    gradients.push_back(k.bucket.own_gradients);
    for (Bucket::Place& place : k.bucket.places) accumulators.push_back(watch(place, [] {}));
    free_memory(k.bucket.gradients);
  }

  // --- Values
  // -------------------------------------------------------------------------------------------------

  void gather(int module) {
    for (Kept* k : of_module.at(module)) {
      if (k->users++ > 0) continue;
      allocate_memory(k->bucket.values);
      k->bucket.work = k->bucket.group->start_all_gather(k->bucket.values, k->bucket.own_values);
    }
  }

  void wait(int module) {
    for (Kept* k : of_module.at(module)) {
      if (k->bucket.work) k->bucket.work->wait();
      k->bucket.work.reset();
    }
  }

  void release(int module) {
    for (Kept* k : of_module.at(module))
      if (--k->users == 0) free_memory(k->bucket.values);
  }

  // --- Gradients
  // ----------------------------------------------------------------------------------------------

  void make_room(int module) {
    for (Kept* k : of_module.at(module)) {
      if (!k->trains() || k->collecting) continue;
      k->collecting = true;
      complete_reductions(k);
      allocate_memory(k->bucket.gradients);
      open(k->bucket, /*adds=*/false);
    }
  }

  void reduce(int module) {
    complete_reductions();  // one module's at a time
    for (Kept* k : own.at(module)) {
      if (!k->trains()) continue;
      close(k->bucket);
      k->collecting = false;
      const at::Tensor sent = leaving(k->bucket, options);
      const at::Tensor share = at::empty_like(k->bucket.own_gradients, sent.options());
      reductions.push_back({k, share, k->bucket.group->start_reduce_scatter(share, sent)});
    }
  }

  /// Of one bucket, or of all.
  void complete_reductions(const Kept* only = nullptr) {
    const at::NoGradGuard no_grad;
    std::erase_if(reductions, [&](const Reduction& r) {
      if (only != nullptr && r.kept != only) return false;
      r.work->wait();
      r.kept->bucket.own_gradients.add_(r.share);
      free_memory(r.kept->bucket.gradients);
      return true;
    });
  }

  // --- Passes
  // -------------------------------------------------------------------------------------------------

  void begin(const std::vector<int>& order, bool is_backward) { pass = {&order, 0, 0, is_backward}; }

  /// Goes on until `end` modules have been entered: leaves the one before, has the next one's values on their
  /// way.
  void enter_until(std::size_t end) {
    const std::vector<int>& order = *pass.order;
    while (pass.entered < end) {
      if (pass.entered > 0) leave(order[pass.entered - 1]);
      const std::size_t ahead = std::min(pass.entered + 2, order.size());
      while (pass.gathered < ahead) gather(order[pass.gathered++]);
      wait(order[pass.entered]);
      if (pass.backward) make_room(order[pass.entered]);
      ++pass.entered;
    }
  }

  void leave(int module) {
    if (pass.backward) reduce(module);
    release(module);
  }
};

ModuleStore::ModuleStore(const std::vector<StoredModule>& modules, StoreOptions options, const Fill& fill)
    : impl_(std::make_unique<Impl>()) {
  const at::NoGradGuard no_grad;
  impl_->options = options;
  for (const StoredModule& module : modules) impl_->add(module, fill);
}

ModuleStore::~ModuleStore() = default;

const std::vector<Segment>& ModuleStore::segments() const { return impl_->segments; }
const std::vector<at::Tensor>& ModuleStore::gradients() const { return impl_->gradients; }

void ModuleStore::start_step(bool) {
  for (const at::Tensor& share : impl_->gradients) share.zero_();
}

void ModuleStore::finish() { impl_->complete_reductions(); }

void ModuleStore::begin_forward() { impl_->begin(impl_->forward, false); }
void ModuleStore::begin_backward() { impl_->begin(impl_->backward, true); }

void ModuleStore::end_pass() {
  const std::vector<int>& order = *impl_->pass.order;
  impl_->enter_until(order.size());
  if (!order.empty()) impl_->leave(order.back());
}

void ModuleStore::enter(int module) {
  const std::vector<int>& order = *impl_->pass.order;
  const auto found = std::find(order.begin(), order.end(), module);
  if (found == order.end()) throw Failure(ExitCode::internal, "a module that takes no part in this pass");
  impl_->enter_until(static_cast<std::size_t>(found - order.begin()) + 1);
}

void ModuleStore::hold(int module) {
  impl_->gather(module);
  impl_->wait(module);
}

void ModuleStore::drop(int module) { impl_->release(module); }

}  // namespace cornstarch::pipeline
