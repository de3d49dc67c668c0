#include <algorithm>

#include "cornstarch/base/text.h"
#include "describe.h"
#include "reduce.h"
#include "solo.h"
#include "thread_hub.h"

namespace cornstarch::comm {
namespace {

using Kind = Call::Kind;

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::all_reduce:
      return "all_reduce";
    case Kind::broadcast:
      return "broadcast";
    case Kind::all_gather:
      return "all_gather";
    case Kind::reduce_scatter:
      return "reduce_scatter";
  }
  return "";
}

/// "all_reduce max (512 fp32)"
std::string signature(const Call& call) {
  std::string text = kind_name(call.kind);
  if (call.kind == Kind::all_reduce) text += call.op == Reduce::sum ? " sum" : " max";
  if (call.kind == Kind::broadcast) text += cat(" from member ", call.root);
  return cat(text, " (", describe(call.in), ")");
}

bool agree(const Call& a, const Call& b) {
  return a.kind == b.kind && a.op == b.op && a.root == b.root && a.in.scalar_type() == b.in.scalar_type() &&
         a.in.sizes() == b.in.sizes();
}

char* bytes(const at::Tensor& tensor) { return static_cast<char*>(tensor.data_ptr()); }

using Calls = std::vector<std::optional<Call>>;

/// In blocks that fit a core's cache, so that each tensor is read and written once.
void run_all_reduce(const Calls& calls) {
  constexpr std::int64_t kBlockBytes = 1 << 15;
  const at::Tensor& first = calls[0]->in;
  const std::int64_t item = static_cast<std::int64_t>(first.element_size());
  const std::int64_t block = kBlockBytes / item;
  for (std::int64_t begin = 0; begin < first.numel(); begin += block) {
    const std::int64_t count = std::min(block, first.numel() - begin);
    char* acc = bytes(first) + begin * item;
    for (std::size_t i = 1; i < calls.size(); ++i) {
      reduce_into(acc, bytes(calls[i]->in) + begin * item, count, first.scalar_type(), calls[0]->op);
    }
    for (std::size_t i = 1; i < calls.size(); ++i) {
      copy_bytes(bytes(calls[i]->in) + begin * item, acc, static_cast<std::size_t>(count * item));
    }
  }
}

void run_broadcast(const Calls& calls) {
  const std::size_t root = static_cast<std::size_t>(calls[0]->root);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (i != root) copy_bytes(bytes(calls[i]->in), bytes(calls[root]->in), calls[root]->in.nbytes());
  }
}

void run_all_gather(const Calls& calls) {
  for (const auto& to : calls) {
    for (std::size_t i = 0; i < calls.size(); ++i) {
      const at::Tensor& in = calls[i]->in;
      copy_bytes(bytes(to->out) + i * in.nbytes(), bytes(in), in.nbytes());
    }
  }
}

void run_reduce_scatter(const Calls& calls) {
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const at::Tensor& out = calls[i]->out;
    copy_bytes(bytes(out), bytes(calls[0]->in) + i * out.nbytes(), out.nbytes());
    for (std::size_t from = 1; from < calls.size(); ++from) {
      reduce_into(bytes(out), bytes(calls[from]->in) + i * out.nbytes(), out.numel(), out.scalar_type(),
                  Reduce::sum);
    }
  }
}

void run(const Calls& calls) {
  switch (calls[0]->kind) {
    case Kind::all_reduce:
      return run_all_reduce(calls);
    case Kind::broadcast:
      return run_broadcast(calls);
    case Kind::all_gather:
      return run_all_gather(calls);
    case Kind::reduce_scatter:
      return run_reduce_scatter(calls);
  }
}

class CollectiveWork final : public Work {
 public:
  CollectiveWork(std::shared_ptr<ThreadHub> hub, std::shared_ptr<SharedGroup> group,
                 std::shared_ptr<Collective> op, std::string name, int group_rank, long long index,
                 std::string text)
      : hub_(std::move(hub)),
        group_(std::move(group)),
        op_(std::move(op)),
        name_(std::move(name)),
        group_rank_(group_rank),
        index_(index),
        text_(std::move(text)) {}

  bool done() override { return hub_->would_return(*op_); }

  void wait() override {
    const int rank = group_->ranks[static_cast<std::size_t>(group_rank_)];
    hub_->wait(*op_, rank, [this] {
      return control::Wait{missing(), cat(text_, " as #", index_, " of '", name_, "'"), name_, index_, 0};
    });
  }

 private:
  /// Who has not called yet; if all have, the others, one of whom is at work on the result.
  std::vector<int> missing() const {
    const std::lock_guard lock(op_->mutex);
    const bool all = op_->arrived == group_->ranks.size();
    std::vector<int> ranks;
    for (std::size_t i = 0; i < group_->ranks.size(); ++i) {
      if (static_cast<int>(i) != group_rank_ && (all || !op_->calls[i])) ranks.push_back(group_->ranks[i]);
    }
    return ranks;
  }

  std::shared_ptr<ThreadHub> hub_;
  std::shared_ptr<SharedGroup> group_;
  std::shared_ptr<Collective> op_;
  std::string name_;
  int group_rank_;
  long long index_;
  std::string text_;
};

class ThreadGroup final : public Group {
 public:
  ThreadGroup(std::shared_ptr<ThreadHub> hub, std::shared_ptr<SharedGroup> shared, int group_rank,
              TrafficPtr traffic)
      : hub_(std::move(hub)),
        shared_(std::move(shared)),
        traffic_(std::move(traffic)),
        group_rank_(group_rank),
        ledger_(hub_->ledger(shared_->ranks[static_cast<std::size_t>(group_rank)])),
        noted_(ledger_.add(shared_->name, shared_->ranks, true)),
        name_(ledger_.name(noted_)) {}

  int rank() const override { return group_rank_; }
  int size() const override { return static_cast<int>(shared_->ranks.size()); }
  const std::vector<int>& ranks() const override { return shared_->ranks; }

  WorkPtr start_all_reduce(const at::Tensor& tensor, Reduce op) override {
    require_plain(tensor, "all_reduce");
    return start({Kind::all_reduce, op, 0, tensor, tensor});
  }

  WorkPtr start_broadcast(const at::Tensor& tensor, int root) override {
    require_plain(tensor, "broadcast");
    require_member(root, size(), name_);
    return start({Kind::broadcast, Reduce::sum, root, tensor, tensor});
  }

  WorkPtr start_all_gather(const at::Tensor& out, const at::Tensor& in) override {
    require_parts(out, in, size(), "all_gather");
    return start({Kind::all_gather, Reduce::sum, 0, in, out});
  }

  WorkPtr start_reduce_scatter(const at::Tensor& out, const at::Tensor& in) override {
    require_parts(in, out, size(), "reduce_scatter");
    return start({Kind::reduce_scatter, Reduce::sum, 0, in, out});
  }

 private:
  WorkPtr start(Call call) {
    const long long index = next_++;
    ++traffic_->collectives;
    traffic_->collective_bytes += static_cast<long long>(call.in.nbytes());
    const auto collective = find(index);
    const std::string text = signature(call);
    ledger_.begin(noted_, text);
    auto work = std::make_shared<CollectiveWork>(hub_, shared_, collective, name_, group_rank_, index, text);
    if (arrive(*collective, index, std::move(call))) finish(*collective, index);
    return work;
  }

  std::shared_ptr<Collective> find(long long index) {
    const std::lock_guard lock(shared_->mutex);
    auto& collective = shared_->under_way[index];
    if (!collective) {
      collective = std::make_shared<Collective>();
      collective->calls.resize(shared_->ranks.size());
    }
    return collective;
  }

  /// Whether this was the last of the members. A call that differs from those before it fails the collective.
  bool arrive(Collective& collective, long long index, Call call) {
    const std::lock_guard lock(collective.mutex);
    const auto first =
        std::find_if(collective.calls.begin(), collective.calls.end(), [](auto& c) { return !!c; });
    if (first != collective.calls.end() && !agree(**first, call) &&
        collective.state.load() == Operation::State::pending) {
      const int other = shared_->ranks[static_cast<std::size_t>(first - collective.calls.begin())];
      hub_->fail(collective, mismatch(call, other, **first, index), shared_->ranks);
    }
    collective.calls[static_cast<std::size_t>(group_rank_)] = std::move(call);
    return ++collective.arrived == shared_->ranks.size();
  }

  std::string mismatch(const Call& mine, int other, const Call& theirs, long long index) const {
    return cat("rank ", shared_->ranks[static_cast<std::size_t>(group_rank_)], " called ", signature(mine),
               " where rank ", other, " called ", signature(theirs), ": #", index, " of '", name_, "'");
  }

  void finish(Collective& collective, long long index) {
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->under_way.erase(index);
    }
    if (collective.state.load() != Operation::State::pending) return;
    try {
      run(collective.calls);
      hub_->complete(collective, shared_->ranks);
    } catch (const Failure& failure) {
      hub_->fail(collective, failure.what(), shared_->ranks);
    }
  }

  std::shared_ptr<ThreadHub> hub_;
  std::shared_ptr<SharedGroup> shared_;
  TrafficPtr traffic_;
  int group_rank_;
  control::Ledger& ledger_;
  int noted_;
  std::string name_;
  long long next_ = 0;
};

}  // namespace

GroupPtr thread_group(std::shared_ptr<ThreadHub> hub, std::shared_ptr<SharedGroup> shared, int group_rank,
                      TrafficPtr traffic) {
  return std::make_shared<ThreadGroup>(std::move(hub), std::move(shared), group_rank, std::move(traffic));
}

}  // namespace cornstarch::comm
