#include <ATen/core/Tensor.h>

#include <algorithm>
#include <memory>

#include "cornstarch/base/checked.h"
#include "cornstarch/base/text.h"
#include "describe.h"
#include "message_engine.h"
#include "reduce.h"
#include "solo.h"

/// Collectives made of messages. Sums are made where all parts of them are, in the order of ranks: the bits
/// are those of the thread backend. No step of a collective needs agreement on more than the order of calls:
/// two ranks number the groups that they share, and messages of one group between two ranks keep their order.
namespace cornstarch::comm {
namespace {

constexpr auto kLane = MpiTransport::Lane::collectives;

enum class Kind { sum, max, broadcast, all_gather, reduce_scatter };
constexpr int kKinds = 5;

/// What the collectives of one group share.
struct GroupState {
  std::vector<int> ranks;
  std::vector<int> tags;
  std::string name;
  int mine = 0;
  int ledger = 0;  ///< its place there
  long long calls = 0;
  // Results of two all_reduces must leave in the order of calls, whichever of them is ready first.
  long long results_due = 0;
  long long results_begun = 0;

  std::size_t size() const { return ranks.size(); }
  bool is_mine(std::size_t member) const { return static_cast<int>(member) == mine; }
  std::vector<int> others() const {
    auto out = ranks;
    out.erase(out.begin() + mine);
    return out;
  }
  /// Different operations never meet: where ranks disagree, they wait, and the deadline says so.
  int parts_tag(std::size_t member, Kind kind) const {
    return (tags[member] * kKinds + static_cast<int>(kind)) * 2;
  }
  int results_tag(std::size_t member, Kind kind) const { return parts_tag(member, kind) + 1; }
};
using StatePtr = std::shared_ptr<GroupState>;

using Buffer = std::unique_ptr<char[]>;
Buffer buffer(std::size_t count) { return std::make_unique_for_overwrite<char[]>(count); }

char* bytes(const at::Tensor& tensor) { return static_cast<char*>(tensor.data_ptr()); }

class Collective : public Exchange {
 public:
  Collective(std::shared_ptr<Engine> engine, StatePtr state, Kind kind, const char* what,
             const at::Tensor& tensor)
      : Exchange(std::move(engine)),
        state_(std::move(state)),
        requests_(engine_->transport()),
        kind_(kind),
        what_(cat(what, " (", comm::describe(tensor), ")")),
        index_(state_->calls++) {
    engine_->board().ledger().begin(state_->ledger, what_);
    ++engine_->traffic().collectives;
    engine_->traffic().collective_bytes += static_cast<long long>(tensor.nbytes());
  }

 protected:
  std::vector<int> waits_for() const override {
    const auto peers = requests_.peers();
    return peers.empty() ? state_->others() : peers;
  }
  std::string describe() const override { return cat(what_, " as #", index_, " of '", state_->name, "'"); }
  std::pair<std::string, long long> place() const override { return {state_->name, index_}; }
  bool requests_complete() {
    return requests_.complete([this] { return describe(); });
  }
  void send_part(const void* data, std::size_t count, std::size_t to) {
    requests_.send(data, count, state_->ranks[to], state_->parts_tag(to, kind_), kLane);
  }
  void receive_part(void* data, std::size_t count, std::size_t from) {
    requests_.receive(data, count, state_->ranks[from], state_->parts_tag(from, kind_), kLane);
  }

  StatePtr state_;
  Requests requests_;
  Kind kind_;

 private:
  std::string what_;
  long long index_;
};

/// Every owner adds up its share of the tensor and sends the result to all. Small tensors have one owner; in
/// small groups each rank owns all of them, which saves the second trip.
class AllReduce final : public Collective {
 public:
  AllReduce(std::shared_ptr<Engine> engine, const StatePtr& state, const at::Tensor& tensor, Reduce op)
      : Collective(std::move(engine), state, op == Reduce::sum ? Kind::sum : Kind::max,
                   op == Reduce::sum ? "all_reduce sum" : "all_reduce max", tensor),
        tensor_(tensor),
        op_(op) {
    constexpr std::size_t kSmallGroup = 8, kSmallBytes = 16 << 10, kShareBytes = 4 << 10;
    everywhere_ = state_->size() <= kSmallGroup && tensor.nbytes() <= kSmallBytes;
    owners_ = everywhere_ ? state_->size()
                          : std::clamp<std::size_t>(tensor.nbytes() / kShareBytes, 1, state_->size());
    turn_ = everywhere_ ? 0 : state_->results_due++;
    exchange_parts();
  }

 private:
  Range owned(std::size_t owner) const {
    if (everywhere_) return {0, tensor_.numel()};
    return share(tensor_.numel(), static_cast<std::int64_t>(owners_), static_cast<std::int64_t>(owner));
  }
  bool is_owner() const { return static_cast<std::size_t>(state_->mine) < owners_; }
  std::size_t item() const { return tensor_.element_size(); }
  char* at_element(std::int64_t i) const { return bytes(tensor_) + static_cast<std::size_t>(i) * item(); }
  std::size_t bytes_of(const Range& range) const { return static_cast<std::size_t>(range.size()) * item(); }

  void exchange_parts() {
    const std::size_t mine = static_cast<std::size_t>(state_->mine);
    for (std::size_t owner = 0; owner < owners_; ++owner) {
      const Range range = owned(owner);
      if (owner != mine) send_part(at_element(range.begin), bytes_of(range), owner);
    }
    if (!is_owner()) return;
    const std::size_t count = bytes_of(owned(mine));
    parts_ = buffer(state_->size() * count);
    for (std::size_t from = 0; from < state_->size(); ++from) {
      if (from != mine) receive_part(parts_.get() + from * count, count, from);
    }
  }

  void add_up() {
    const std::size_t mine = static_cast<std::size_t>(state_->mine);
    const Range range = owned(mine);
    const std::size_t count = bytes_of(range);
    copy_bytes(parts_.get() + mine * count, at_element(range.begin), count);
    for (std::size_t from = 1; from < state_->size(); ++from) {
      reduce_into(parts_.get(), parts_.get() + from * count, range.size(), tensor_.scalar_type(), op_);
    }
    copy_bytes(at_element(range.begin), parts_.get(), count);
    parts_ = {};
  }

  void exchange_results() {
    const std::size_t mine = static_cast<std::size_t>(state_->mine);
    for (std::size_t other = 0; other < state_->size(); ++other) {
      if (other == mine) continue;
      const int rank = state_->ranks[other], tag = state_->results_tag(other, kind_);
      const Range theirs = owned(other), ours = owned(mine);
      if (other < owners_) requests_.receive(at_element(theirs.begin), bytes_of(theirs), rank, tag, kLane);
      if (is_owner()) requests_.send(at_element(ours.begin), bytes_of(ours), rank, tag, kLane);
    }
  }

  bool advance() override {
    if (!requests_complete()) return false;
    if (results_) return true;
    if (is_owner() && !added_up_) add_up();
    added_up_ = true;
    if (everywhere_) return true;
    if (state_->results_begun != turn_) return false;
    ++state_->results_begun;
    results_ = true;
    exchange_results();
    return requests_complete();
  }

  at::Tensor tensor_;
  Reduce op_;
  bool everywhere_ = false;
  std::size_t owners_ = 1;
  long long turn_ = 0;
  Buffer parts_;
  bool added_up_ = false;
  bool results_ = false;
};

class Broadcast final : public Collective {
 public:
  Broadcast(std::shared_ptr<Engine> engine, const StatePtr& state, const at::Tensor& tensor, int root)
      : Collective(std::move(engine), state, Kind::broadcast, "broadcast", tensor), tensor_(tensor) {
    const std::size_t from = static_cast<std::size_t>(root);
    if (!state_->is_mine(from)) receive_part(bytes(tensor_), tensor_.nbytes(), from);
    for (std::size_t to = 0; to < state_->size(); ++to) {
      if (state_->is_mine(from) && to != from) send_part(bytes(tensor_), tensor_.nbytes(), to);
    }
  }

 private:
  bool advance() override { return requests_complete(); }
  at::Tensor tensor_;
};

class AllGather final : public Collective {
 public:
  AllGather(std::shared_ptr<Engine> engine, const StatePtr& state, const at::Tensor& out,
            const at::Tensor& in)
      : Collective(std::move(engine), state, Kind::all_gather, "all_gather", in), out_(out), in_(in) {
    for (std::size_t other = 0; other < state_->size(); ++other) {
      char* slot = bytes(out_) + other * in_.nbytes();
      if (state_->is_mine(other)) {
        copy_bytes(slot, bytes(in_), in_.nbytes());
      } else {
        receive_part(slot, in_.nbytes(), other);
        send_part(bytes(in_), in_.nbytes(), other);
      }
    }
  }

 private:
  bool advance() override { return requests_complete(); }
  at::Tensor out_;
  at::Tensor in_;
};

class ReduceScatter final : public Collective {
 public:
  ReduceScatter(std::shared_ptr<Engine> engine, const StatePtr& state, const at::Tensor& out,
                const at::Tensor& in)
      : Collective(std::move(engine), state, Kind::reduce_scatter, "reduce_scatter", in), out_(out), in_(in) {
    const std::size_t count = out_.nbytes();
    parts_ = buffer(state_->size() * count);
    for (std::size_t other = 0; other < state_->size(); ++other) {
      const char* slice = bytes(in_) + other * count;
      if (state_->is_mine(other)) {
        copy_bytes(parts_.get() + other * count, slice, count);
      } else {
        receive_part(parts_.get() + other * count, count, other);
        send_part(slice, count, other);
      }
    }
  }

 private:
  bool advance() override {
    if (!requests_complete()) return false;
    const std::size_t count = out_.nbytes();
    for (std::size_t from = 1; from < state_->size(); ++from) {
      reduce_into(parts_.get(), parts_.get() + from * count, out_.numel(), out_.scalar_type(), Reduce::sum);
    }
    copy_bytes(bytes(out_), parts_.get(), count);
    return true;
  }

  at::Tensor out_;
  at::Tensor in_;
  Buffer parts_;
};

class MessageGroup final : public Group {
 public:
  MessageGroup(std::shared_ptr<Engine> engine, StatePtr state)
      : engine_(std::move(engine)), state_(std::move(state)) {}

  int rank() const override { return state_->mine; }
  int size() const override { return static_cast<int>(state_->size()); }
  const std::vector<int>& ranks() const override { return state_->ranks; }

  WorkPtr start_all_reduce(const at::Tensor& tensor, Reduce op) override {
    require_plain(tensor, "all_reduce");
    return start<AllReduce>(tensor, op);
  }
  WorkPtr start_broadcast(const at::Tensor& tensor, int root) override {
    require_plain(tensor, "broadcast");
    require_member(root, size(), state_->name);
    return start<Broadcast>(tensor, root);
  }
  WorkPtr start_all_gather(const at::Tensor& out, const at::Tensor& in) override {
    require_parts(out, in, size(), "all_gather");
    return start<AllGather>(out, in);
  }
  WorkPtr start_reduce_scatter(const at::Tensor& out, const at::Tensor& in) override {
    require_parts(in, out, size(), "reduce_scatter");
    return start<ReduceScatter>(out, in);
  }

 private:
  template <typename T, typename... Args>
  WorkPtr start(const Args&... args) {
    auto exchange = std::make_shared<T>(engine_, state_, args...);
    engine_->start(exchange);
    return exchange;
  }

  std::shared_ptr<Engine> engine_;
  StatePtr state_;
};

}  // namespace

GroupPtr message_group(std::shared_ptr<Engine> engine, std::vector<int> ranks, std::vector<int> tags,
                       int group_rank, const std::string& name) {
  auto state = std::make_shared<GroupState>();
  state->ranks = std::move(ranks);
  state->tags = std::move(tags);
  state->mine = group_rank;
  state->ledger = engine->board().ledger().add(name, state->ranks, true);
  state->name = engine->board().ledger().name(state->ledger);
  return std::make_shared<MessageGroup>(std::move(engine), std::move(state));
}

}  // namespace cornstarch::comm
