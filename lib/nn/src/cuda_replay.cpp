#include <ATen/core/grad_mode.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDACachingAllocator.h>

#include <map>
#include <tuple>
#include <vector>

#include "cornstarch/nn/replay.h"
#include "differentiable.h"

namespace cornstarch::nn {
namespace {

/// Calls of a kind, their backward included, before it is recorded: they load kernels, choose algorithms and
/// fill caches, none of which may happen while the GPU records.
constexpr int kWarmUp = 3;
constexpr int kKinds = 4;

/// A forward and a backward in memory of their own.
struct Recording {
  at::Tensor x, y, grad_y, grad_x;  ///< grad_y is undefined where there is no backward
  at::cuda::CUDAGraph forward, backward;
};
using RecordingPtr = std::unique_ptr<Recording>;

at::Tensor like(const at::Tensor& x) { return at::empty(x.sizes(), x.options()); }

/// Other threads may go on using CUDA meanwhile.
template <typename Work>
void capture(at::cuda::CUDAGraph& graph, at::cuda::MempoolId_t pool, Work&& work) {
  graph.capture_begin(pool, cudaStreamCaptureModeThreadLocal);
  work();
  graph.capture_end();
}

RecordingPtr record(const Replayed::Function& function, const at::Tensor& like_x) {
  // Recordings take memory that others do not share. This waits for the GPU, and so for messages that are
  // under way: nothing that their senders wait for may come behind a recording, or be held back by this
  // process (Communicator::settle).
  c10::cuda::CUDACachingAllocator::emptyCache();
  auto out = std::make_unique<Recording>();
  out->x = like(like_x).set_requires_grad(like_x.requires_grad());
  capture(out->forward, {0, 0}, [&] { out->y = function(out->x); });
  if (!out->y.requires_grad()) return out;
  out->grad_y = like(out->y);
  capture(out->backward, out->forward.pool(), [&] { out->y.backward(out->grad_y); });
  out->grad_x = out->x.grad();
  out->x = out->x.detach();
  out->y = out->y.detach();
  return out;
}

using Kind = std::tuple<std::vector<std::int64_t>, at::ScalarType, bool, bool>;

Kind kind_of(const at::Tensor& x) {
  return {x.sizes().vec(), x.scalar_type(), x.requires_grad(), at::GradMode::is_enabled()};
}

struct Recordings {
  int warm = 0;  ///< calls that were launched, whole
  int recorded = 0;
  std::vector<RecordingPtr> free;
};

}  // namespace

struct Replayed::Impl {
  Function function;
  std::map<Kind, Recordings> kinds;

  bool has_room() const {
    int used = 0;
    for (const auto& [_, recordings] : kinds) used += recordings.recorded > 0;
    return used < kKinds;
  }

  /// Whether there is something to replay, or may be.
  bool replays(const Recordings& recordings) const {
    return recordings.recorded > 0 || (recordings.warm >= kWarmUp && has_room());
  }

  RecordingPtr take(Recordings& recordings, const at::Tensor& x) const {
    if (recordings.free.empty()) {
      ++recordings.recorded;
      return record(function, x);
    }
    RecordingPtr recording = std::move(recordings.free.back());
    recordings.free.pop_back();
    return recording;
  }
};

Replayed::Replayed(Function function) : impl_(new Impl{std::move(function), {}}) {}
Replayed::~Replayed() = default;

at::Tensor Replayed::operator()(const at::Tensor& x) {
  if (!x.is_cuda()) return impl_->function(x);
  Recordings& recordings = impl_->kinds[kind_of(x)];
  if (!impl_->replays(recordings)) {
    at::Tensor y = impl_->function(x);
    if (y.requires_grad()) {
      y.register_hook([impl = impl_, &recordings](const at::TensorBase&) { ++recordings.warm; });
    } else {
      ++recordings.warm;
    }
    return y;
  }
  RecordingPtr taken = impl_->take(recordings, x);
  taken->x.copy_(x.detach());
  taken->forward.replay();
  if (!taken->grad_y.defined()) {
    at::Tensor y = taken->y.clone();
    recordings.free.push_back(std::move(taken));
    return y;
  }
  // Free again when autograd lets go of it.
  const std::shared_ptr<Recording> lent(
      taken.release(), [impl = impl_, &recordings](Recording* r) { recordings.free.emplace_back(r); });
  return differentiable("Replayed", lent->y.detach(), {x},
                        [lent](const at::Tensor& grad, const std::vector<bool>& needed) {
                          lent->grad_y.copy_(grad);
                          lent->backward.replay();
                          return std::vector<at::Tensor>{needed[0] ? lent->grad_x.clone() : at::Tensor()};
                        });
}

int Replayed::recorded() const {
  int all = 0;
  for (const auto& [_, recordings] : impl_->kinds) all += recordings.recorded;
  return all;
}

}  // namespace cornstarch::nn
