#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cornstarch/comm/communicator.h"
#include "cornstarch/control/culprit.h"

/// What the thread ranks of one process share.
namespace cornstarch::comm {

/// One operation that ranks wait for. Whoever completes it stores the state and rings the bells of those who
/// wait.
struct Operation {
  enum class State { pending, complete, failed };
  std::atomic<State> state{State::pending};
  std::string failure;  ///< written before the state becomes failed
};

/// What one rank brings to a collective.
struct Call {
  enum class Kind { all_reduce, broadcast, all_gather, reduce_scatter };
  Kind kind = Kind::all_reduce;
  Reduce op = Reduce::sum;
  int root = 0;
  at::Tensor in;
  at::Tensor out;
};

struct Collective : Operation {
  std::mutex mutex;
  std::vector<std::optional<Call>> calls;  ///< by group rank
  std::size_t arrived = 0;
};

/// A group as all its members see it.
struct SharedGroup {
  std::vector<int> ranks;
  std::string name;
  std::mutex mutex;
  std::map<long long, std::shared_ptr<Collective>> under_way;  ///< by call index
};

/// A send or a receive that has not met its counterpart, or has just done so.
struct Message : Operation {
  int rank = 0;  ///< who posted it
  at::Tensor tensor;
  std::string what;
};
using MessagePtr = std::shared_ptr<Message>;

/// Messages on their way to one rank. Of each channel at most one of the queues holds anything.
struct Mailbox {
  struct Channel {
    std::deque<MessagePtr> sends;
    std::deque<MessagePtr> receives;
  };
  std::mutex mutex;
  std::map<std::pair<int, int>, Channel> channels;  ///< by (from, tag)
};

class ThreadHub {
 public:
  ThreadHub(int num_ranks, Deadline deadline);

  int size() const { return static_cast<int>(bells_.size()); }
  Mailbox& mailbox(int rank) { return mailboxes_[static_cast<std::size_t>(rank)]; }

  /// The nth group of these ranks that each of them creates.
  std::shared_ptr<SharedGroup> group(const std::vector<int>& ranks, int nth, const std::string& name);

  void complete(Operation& operation, const std::vector<int>& ranks);
  void fail(Operation& operation, const std::string& message, const std::vector<int>& ranks);

  /// Until the operation is complete, it or any rank has failed, or the deadline passes; `describe` may be
  /// asked meanwhile, by any thread, and says who is waited for and in what.
  void wait(Operation& operation, int rank, const std::function<control::Wait()>& describe);
  bool would_return(const Operation& operation) const;
  void check(int rank) const;

  control::Ledger& ledger(int rank) { return ledgers_[static_cast<std::size_t>(rank)]; }
  void on_failure(std::function<void(const std::string&)> report);

  /// The first call counts.
  void abort(int rank, const Error& error);
  /// The first rank that failed, and how.
  std::optional<std::pair<int, Error>> failure() const;

 private:
  struct Bell {
    std::mutex mutex;
    std::condition_variable ring;
  };

  void settle(Operation& operation, Operation::State state, const std::vector<int>& ranks);
  void spin(const Operation& operation) const;
  bool sleep(const Operation& operation, int rank, const std::function<control::Wait()>& describe);
  void complain(const control::Complaint& complaint);
  std::map<int, control::RankState> states() const;
  [[noreturn]] void throw_failure_of_peer(int rank) const;

  Deadline deadline_;
  int spins_;
  std::vector<Bell> bells_;
  std::vector<Mailbox> mailboxes_;
  std::deque<control::Ledger> ledgers_;
  std::mutex groups_mutex_;
  std::map<std::pair<std::vector<int>, int>, std::shared_ptr<SharedGroup>> groups_;
  std::atomic<bool> failed_{false};
  mutable std::mutex failure_mutex_;
  std::optional<std::pair<int, Error>> failure_;
  std::function<void(const std::string&)> report_;
};

/// Messages and collectives sent so far by one rank.
using TrafficPtr = std::shared_ptr<Communicator::Traffic>;

/// The view that one rank has of a shared group (thread_group.cpp).
GroupPtr thread_group(std::shared_ptr<ThreadHub> hub, std::shared_ptr<SharedGroup> shared, int group_rank,
                      TrafficPtr traffic);

}  // namespace cornstarch::comm
