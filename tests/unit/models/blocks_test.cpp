// What blocks keep for backward, compute twice and send, counted.

#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>

#include <barrier>
#include <set>

#include "memory_meter.h"
#include "model_fixture.h"

using namespace cornstarch;
using config::Checkpointing;
using fixture::Modality;
using models::Stage;

namespace {

// The sizes of fixture::llama, whose two layers are run here.
constexpr std::int64_t kHidden = 24, kMlp = 37, kLayers = 2, kValue = 8;
constexpr std::int64_t kSamples = 2, kLength = 11, kTokens = kSamples * kLength;

Modality llama(Checkpointing checkpointing, bool sequence_parallel = false) {
  Modality m = fixture::llama(false);
  m.checkpointing = checkpointing;
  m.tp_sequence_parallel = sequence_parallel;
  return m;
}

Stage layers_of(const Modality& m, const comm::GroupPtr& tp) {
  models::StageOptions options{at::kDouble, 7};
  options.where = fixture::where_of(m, tp->size());
  return Stage(m, {1, 2}, tp, options);
}

at::Tensor input() { return fixture::noise({kSamples, kLength, kHidden}, 1).set_requires_grad(true); }

/// The bytes of tensors that forward leaves behind, its output among them.
std::int64_t kept_bytes(const Modality& m, const comm::GroupPtr& tp) {
  Stage stage = layers_of(m, tp);
  const at::Tensor x = input();
  {
    const at::NoGradGuard no_grad;
    stage.transform(x);  // makes the rotary tables
  }
  const test::MemoryMeter meter;
  const at::Tensor y = stage.transform(x);
  return meter.now();
}

/// The same of all ranks of tp together.
std::int64_t kept_bytes(const Modality& m, int tp) {
  const test::MemoryMeter all;
  std::barrier meet(tp);
  std::int64_t kept = 0;
  comm::run_threads(tp, {}, [&](const comm::CommunicatorPtr& c) {
    Stage stage = layers_of(m, c->world());
    const at::Tensor x = input();
    {
      const at::NoGradGuard no_grad;
      stage.transform(x);
    }
    meet.arrive_and_wait();
    // It counts this thread's. NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
    const test::MemoryMeter here(all);
    const at::Tensor y = stage.transform(x);
    meet.arrive_and_wait();
    if (c->rank() == 0) kept = all.now();
    meet.arrive_and_wait();
  });
  return kept;
}

thread_local int products_done = 0;

std::unique_ptr<at::ObserverContext> count_product(const at::RecordFunction& function) {
  static const std::set<std::string> products = {"aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm",
                                                 "aten::_scaled_dot_product_flash_attention_for_cpu"};
  products_done += products.count(function.name()) > 0 ? 1 : 0;
  return nullptr;
}

/// Matrix products and attentions of forward, and of backward behind it.
int products_of(Checkpointing checkpointing, bool with_backward) {
  const Modality m = llama(checkpointing);
  Stage stage = layers_of(m, comm::alone()->world());
  const at::Tensor x = input();
  products_done = 0;
  const auto handle = at::addThreadLocalCallback(at::RecordFunctionCallback(count_product));
  const at::Tensor y = stage.transform(x);
  if (with_backward) y.sum().backward();
  at::removeCallback(handle);
  return products_done;
}

/// A group that counts what a ring would put on each rank's wire.
class WireMeter : public comm::Group {
 public:
  explicit WireMeter(comm::GroupPtr group) : group_(std::move(group)) {}
  std::int64_t bytes() const { return bytes_; }

  int rank() const override { return group_->rank(); }
  int size() const override { return group_->size(); }
  const std::vector<int>& ranks() const override { return group_->ranks(); }
  comm::WorkPtr start_all_reduce(const at::Tensor& tensor, comm::Reduce op) override {
    count(tensor, 2);
    return group_->start_all_reduce(tensor, op);
  }
  comm::WorkPtr start_broadcast(const at::Tensor& tensor, int root) override {
    return group_->start_broadcast(tensor, root);
  }
  comm::WorkPtr start_all_gather(const at::Tensor& out, const at::Tensor& in) override {
    count(out, 1);
    return group_->start_all_gather(out, in);
  }
  comm::WorkPtr start_reduce_scatter(const at::Tensor& out, const at::Tensor& in) override {
    count(in, 1);
    return group_->start_reduce_scatter(out, in);
  }

 private:
  void count(const at::Tensor& whole, int passes) {
    bytes_ += passes * static_cast<std::int64_t>(whole.nbytes()) * (size() - 1) / size();
  }

  comm::GroupPtr group_;
  std::int64_t bytes_ = 0;
};

/// Bytes on each rank's wire in forward and backward of the layers.
std::int64_t wire_bytes(const Modality& m, int tp) {
  std::vector<std::int64_t> bytes(static_cast<std::size_t>(tp));
  comm::run_threads(tp, {}, [&](const comm::CommunicatorPtr& c) {
    const auto meter = std::make_shared<WireMeter>(c->world());
    Stage stage = layers_of(m, meter);
    stage.transform(input()).sum().backward();
    bytes[static_cast<std::size_t>(c->rank())] = meter->bytes();
  });
  CHECK(bytes == std::vector<std::int64_t>(static_cast<std::size_t>(tp), bytes[0]));
  return bytes[0];
}

}  // namespace

TEST_CASE("checkpointing keeps what it says", "[models]") {
  const comm::GroupPtr one = comm::alone()->world();
  const std::int64_t none = kept_bytes(llama(Checkpointing::none), one);
  const std::int64_t selective = kept_bytes(llama(Checkpointing::selective), one);
  const std::int64_t full = kept_bytes(llama(Checkpointing::full), one);
  // Selective: neither the norms' outputs and deviations nor the gated rows.
  CHECK(none - selective == kLayers * kTokens * (2 * (kHidden + 1) + kMlp) * kValue);
  // Full: the outputs of the layers, which are the inputs of the next.
  CHECK(full == kLayers * kTokens * kHidden * kValue);
}

TEST_CASE("selective checkpointing does no product twice, full runs forward again", "[models]") {
  const int forward = products_of(Checkpointing::none, false), all = products_of(Checkpointing::none, true);
  CHECK(forward == kLayers * (7 + 1));
  CHECK(products_of(Checkpointing::selective, true) == all);
  CHECK(products_of(Checkpointing::full, true) == all + forward);
}

TEST_CASE("frozen blocks without a gradient to pass on are not run again", "[models]") {
  Modality m = llama(Checkpointing::full);
  for (auto& module : m.spec.modules) set_trains(module, false);
  Stage stage = layers_of(m, comm::alone()->world());
  CHECK_FALSE(stage.transform(input().detach()).requires_grad());
}

TEST_CASE("sequence parallelism deals the tokens between products to the ranks", "[models]") {
  const int tp = GENERATE(2, 4);
  CAPTURE(tp);
  // Together the ranks keep the first layer's input once, the second's with the padding of unequal shares,
  // and the output each.
  const std::int64_t padded = (kTokens + tp - 1) / tp * tp;
  CHECK(kept_bytes(llama(Checkpointing::full, true), tp) ==
        (kTokens + padded + tp * kTokens) * kHidden * kValue);
  CHECK(kept_bytes(llama(Checkpointing::full), tp) == tp * kLayers * kTokens * kHidden * kValue);
}

TEST_CASE("sequence parallelism sends what tensor parallelism sends", "[models]") {
  const std::int64_t plain = wire_bytes(llama(Checkpointing::none), 2);
  constexpr std::int64_t states = kTokens * kHidden * kValue;
  CHECK(plain == kLayers * 4 * states);  // two all-reduces in forward, two in backward
  // Beside that, the stage's ends are gathered: its output, and the gradient of its input.
  CHECK(wire_bytes(llama(Checkpointing::none, true), 2) == plain + 2 * states / 2);
  // What is recomputed is gathered again: once a half with selective, with full both halves' scatters, too.
  CHECK(wire_bytes(llama(Checkpointing::selective, true), 2) == plain + (2 + 2 * kLayers) * states / 2);
  CHECK(wire_bytes(llama(Checkpointing::full, true), 2) == plain + (2 + 4 * kLayers) * states / 2);
}
