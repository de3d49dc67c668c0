#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <new>
#include <system_error>
#include <thread>

#include "cornstarch/base/error_of.h"
#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "describe.h"
#include "reduce.h"
#include "solo.h"
#include "thread_hub.h"

namespace cornstarch::comm {
namespace {

class MessageWork final : public Work {
 public:
  MessageWork(std::shared_ptr<ThreadHub> hub, MessagePtr message, int peer, std::string text)
      : hub_(std::move(hub)), message_(std::move(message)), peer_(peer), text_(std::move(text)) {}

  bool done() override { return hub_->would_return(*message_); }
  void wait() override {
    hub_->wait(*message_, message_->rank, [this] { return control::Wait{{peer_}, text_, "", -1, 0}; });
  }

 private:
  std::shared_ptr<ThreadHub> hub_;
  MessagePtr message_;
  int peer_;
  std::string text_;
};

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<ThreadHub> hub, int rank) : hub_(std::move(hub)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return hub_->size(); }
  Traffic traffic() const override { return *traffic_; }
  void abort(const Error& error) override { hub_->abort(rank_, error); }
  void at(int step, const std::string& phase) override { hub_->ledger(rank_).at(step, phase); }
  void on_failure(std::function<void(const std::string&)> report) override {
    hub_->on_failure(std::move(report));
  }
  void check() override { hub_->check(rank_); }

  GroupPtr group(const std::vector<int>& ranks, const std::string& name) override {
    const int group_rank = require_group_ranks(ranks, rank_, size(), name);
    if (ranks.size() == 1) return solo_group(rank_);
    return thread_group(hub_, hub_->group(ranks, created_[ranks]++, name), group_rank, traffic_);
  }

  WorkPtr send(const at::Tensor& tensor, int to, Lane lane, const std::string& what) override {
    ++traffic_->messages;
    traffic_->bytes += static_cast<long long>(tensor.nbytes());
    return post(tensor, to, static_cast<int>(lane), what, true);
  }

  WorkPtr receive(const at::Tensor& tensor, int from, Lane lane, const std::string& what) override {
    return post(tensor, from, static_cast<int>(lane), what, false);
  }

 private:
  /// Queues a message, or completes it at once if its counterpart is there.
  WorkPtr post(const at::Tensor& tensor, int peer, int tag, const std::string& what, bool sends) {
    const char* verb = sends ? "send" : "receive";
    require_plain(tensor, verb);
    if (peer < 0 || peer >= size())
      throw Failure(ExitCode::internal, cat(verb, " of '", what, "': no rank ", peer));
    auto mine = std::make_shared<Message>();
    mine->rank = rank_;
    mine->tensor = tensor;
    mine->what = what;
    const std::string text = cat(verb, " of '", what, "' (", describe(tensor), "), tag ", tag);
    note(peer, sends, text);
    Mailbox& mailbox = hub_->mailbox(sends ? peer : rank_);
    MessagePtr other;
    {
      const std::lock_guard lock(mailbox.mutex);
      auto& channel = mailbox.channels[{sends ? rank_ : peer, tag}];
      auto& counterparts = sends ? channel.receives : channel.sends;
      if (counterparts.empty()) {
        (sends ? channel.sends : channel.receives).push_back(mine);
      } else {
        other = counterparts.front();
        counterparts.pop_front();
      }
    }
    if (other) sends ? deliver(mine, other, tag) : deliver(other, mine, tag);
    return std::make_shared<MessageWork>(hub_, mine, peer, text);
  }

  void note(int peer, bool sends, const std::string& text) {
    const auto [place, is_new] = noted_.try_emplace({peer, sends}, -1);
    control::Ledger& ledger = hub_->ledger(rank_);
    if (is_new)
      place->second =
          ledger.add(cat("messages ", sends ? "to" : "from", " rank ", peer), {rank_, peer}, false);
    ledger.begin(place->second, text);
  }

  void deliver(const MessagePtr& send, const MessagePtr& receive, int tag) {
    const at::Tensor& from = send->tensor;
    const at::Tensor& to = receive->tensor;
    if (from.numel() == to.numel() && from.scalar_type() == to.scalar_type()) {
      copy_bytes(to.data_ptr(), from.const_data_ptr(), from.nbytes());
      hub_->complete(*receive, {receive->rank});
      hub_->complete(*send, {send->rank});
      return;
    }
    const auto message =
        cat("rank ", send->rank, " sent '", send->what, "' (", describe(from), ") where rank ", receive->rank,
            " receives '", receive->what, "' (", describe(to), "), tag ", tag);
    hub_->fail(*receive, message, {receive->rank});
    hub_->fail(*send, message, {send->rank});
  }

  std::shared_ptr<ThreadHub> hub_;
  int rank_;
  TrafficPtr traffic_ = std::make_shared<Traffic>();
  std::map<std::vector<int>, int> created_;    ///< groups so far, by their ranks
  std::map<std::pair<int, bool>, int> noted_;  ///< where the ledger has messages to or from a rank
};

Error current_error() {
  try {
    throw;
  } catch (const c10::Error& error) {
    const Error known = error_of(error);
    return known.code == ExitCode::internal ? Error{known.code, error.what_without_backtrace(), {}} : known;
  } catch (const std::exception& error) {
    return error_of(error);
  } catch (...) {
    return {ExitCode::internal, "an exception of unknown type", {}};
  }
}

void run_rank(const std::shared_ptr<ThreadHub>& hub, int rank,
              const std::function<void(CommunicatorPtr)>& body) {
  log::set_rank(rank);
  if (hub->size() > 1) at::set_num_threads(1);
  try {
    body(std::make_shared<ThreadCommunicator>(hub, rank));
    hub->ledger(rank).at(0, "ended");
  } catch (...) {
    hub->abort(rank, current_error());
  }
}

}  // namespace

void run_threads(int num_ranks, Deadline deadline, const std::function<void(CommunicatorPtr)>& body) {
  const auto hub = std::make_shared<ThreadHub>(num_ranks, deadline);
  std::vector<std::thread> threads;
  int rank = 0;
  try {
    for (; rank < num_ranks; ++rank) threads.emplace_back([&hub, &body, rank] { run_rank(hub, rank, body); });
  } catch (const std::system_error& error) {
    hub->abort(rank, {ExitCode::device, cat("could not start its thread: ", error.what()), {}});
  }
  for (auto& thread : threads) thread.join();
  if (auto failure = hub->failure()) {
    Error error = failure->second;
    error.message = cat("rank ", failure->first, ": ", error.message);
    throw Failure(std::move(error));
  }
}

CommunicatorPtr alone() {
  return std::make_shared<ThreadCommunicator>(std::make_shared<ThreadHub>(1, Deadline{}), 0);
}

}  // namespace cornstarch::comm
