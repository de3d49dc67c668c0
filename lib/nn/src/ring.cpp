#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include "context_layout.h"

/// The ring mode: keys and values travel from each rank to the next, and in backward their gradients with
/// them.
namespace cornstarch::nn {
namespace {

// One direction of messages round the ring, from rank - 1 to rank + 1.
class Carousel {
 public:
  Carousel(const ContextLayout& layout, const char* what) : layout_(layout), what_(what) {}

  // Sends `tensor` on; a rank without tokens has nothing to send.
  void send(const at::Tensor& tensor) {
    if (tensor.numel() == 0) return;
    const int next = (layout_.rank() + 1) % layout_.size();
    sends_.push_back(layout_.comm->send(tensor, layout_.world_rank(next), comm::Lane::context, what_));
    sent_.push_back(tensor);
  }

  // Starts to receive into `tensor`, which may be used after wait().
  void receive(const at::Tensor& tensor) {
    if (tensor.numel() == 0) return;
    const int previous = (layout_.rank() + layout_.size() - 1) % layout_.size();
    receive_ = layout_.comm->receive(tensor, layout_.world_rank(previous), comm::Lane::context, what_);
    receive_->begin();
  }

  void wait() {
    if (receive_) receive_->wait();
    receive_ = nullptr;
  }

  void finish() {
    wait();
    for (const auto& send : sends_) send->wait();
  }

 private:
  const ContextLayout& layout_;
  const char* what_;
  std::vector<comm::WorkPtr> sends_;
  std::vector<at::Tensor> sent_;
  comm::WorkPtr receive_;
};

// Runs `body` on the keys and values of every rank, this one's first and then those before it, while the next
// ones are on their way: (owner, [n, 2, kv_heads, d]).
template <typename Body>
void round_the_ring(const ContextLayout& layout, const Qkv& qkv, Body body) {
  const int size = layout.size();
  Carousel carousel(layout, "keys and values");
  at::Tensor kv = at::stack({qkv.k, qkv.v}, 1);
  for (int step = 0; step < size; ++step) {
    const int owner = (layout.rank() + size - step) % size;
    at::Tensor next;
    if (step + 1 < size) {
      const int next_owner = (owner + size - 1) % size;
      next = at::empty({layout.count(next_owner), 2, kv.size(2), kv.size(3)}, kv.options());
      carousel.receive(next);
      carousel.send(kv);
    }
    body(owner, kv);
    carousel.wait();
    kv = next;
  }
  carousel.finish();
}

}  // namespace

Forward ring_forward(const ContextLayout& layout, const Qkv& qkv) {
  const Attended all = nothing_attended(qkv.q);
  round_the_ring(layout, qkv, [&](int owner, const at::Tensor& kv) {
    layout.local[static_cast<std::size_t>(owner)].forward(qkv.q, kv.select(1, 0), kv.select(1, 1),
                                                          qkv.softcap, all,
                                                          /*fresh=*/owner == layout.rank());
  });
  const Saved kept = saved(qkv, all);
  return {kept.all.out, kept};
}

Qkv ring_backward(const ContextLayout& layout, const Saved& saved, const at::Tensor& grad) {
  const Qkv& qkv = saved.qkv;
  const Qkv grads = no_gradients(qkv);
  // The gradients of an owner's keys start at the owner and reach it again when every rank has added its own.
  Carousel carousel(layout, "gradients of keys and values");
  at::Tensor arriving;
  round_the_ring(layout, qkv, [&](int owner, const at::Tensor& kv) {
    const at::Tensor dkv = at::zeros(kv.sizes(), grads.k.options());
    layout.local[static_cast<std::size_t>(owner)].backward(grad, qkv.q, kv.select(1, 0), kv.select(1, 1),
                                                           qkv.softcap, saved.all, grads.q, dkv.select(1, 0),
                                                           dkv.select(1, 1));
    carousel.wait();
    if (arriving.defined()) dkv.add_(arriving);
    const int next_owner = (owner + layout.size() - 1) % layout.size();
    arriving = at::empty({layout.count(next_owner), 2, kv.size(2), kv.size(3)}, grads.k.options());
    carousel.receive(arriving);
    carousel.send(dkv);
  });
  carousel.finish();
  return {grads.q, arriving.select(1, 0), arriving.select(1, 1)};
}

}  // namespace cornstarch::nn
