#include "thread_hub.h"

#include <thread>

#include "cornstarch/base/text.h"
#include "describe.h"

namespace cornstarch::comm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kMoment{200};

}  // namespace

ThreadHub::ThreadHub(int num_ranks, Deadline deadline)
    : deadline_(deadline),
      // A short spin saves the sleep where every rank has a core of its own; elsewhere it keeps others from
      // working.
      spins_(num_ranks <= static_cast<int>(std::thread::hardware_concurrency()) ? 2000 : 0),
      bells_(static_cast<std::size_t>(num_ranks)),
      mailboxes_(static_cast<std::size_t>(num_ranks)),
      ledgers_(static_cast<std::size_t>(num_ranks)) {}

std::shared_ptr<SharedGroup> ThreadHub::group(const std::vector<int>& ranks, int nth,
                                              const std::string& name) {
  const std::lock_guard lock(groups_mutex_);
  auto& shared = groups_[{ranks, nth}];
  if (!shared) {
    shared = std::make_shared<SharedGroup>();
    shared->ranks = ranks;
    shared->name = name;
  }
  return shared;
}

void ThreadHub::settle(Operation& operation, Operation::State state, const std::vector<int>& ranks) {
  operation.state.store(state, std::memory_order_release);
  for (const int rank : ranks) {
    Bell& bell = bells_[static_cast<std::size_t>(rank)];
    {
      const std::lock_guard lock(bell.mutex);
    }  // whoever is about to sleep has looked at the state or will
    bell.ring.notify_all();
  }
}

void ThreadHub::complete(Operation& operation, const std::vector<int>& ranks) {
  settle(operation, Operation::State::complete, ranks);
}

void ThreadHub::fail(Operation& operation, const std::string& message, const std::vector<int>& ranks) {
  operation.failure = message;
  settle(operation, Operation::State::failed, ranks);
}

bool ThreadHub::would_return(const Operation& operation) const {
  return operation.state.load(std::memory_order_acquire) != Operation::State::pending ||
         failed_.load(std::memory_order_acquire);
}

void ThreadHub::spin(const Operation& operation) const {
  for (int i = 0; i < spins_ && !would_return(operation); ++i) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
}

bool ThreadHub::sleep(const Operation& operation, int rank, const std::function<control::Wait()>& describe) {
  Bell& bell = bells_[static_cast<std::size_t>(rank)];
  ledger(rank).waits([&describe, start = Clock::now()] {
    control::Wait wait = describe();
    wait.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return wait;
  });
  bool in_time = false;
  {
    std::unique_lock lock(bell.mutex);
    in_time = bell.ring.wait_for(lock, deadline_.per_operation, [&] { return would_return(operation); });
  }
  return in_time;
}

void ThreadHub::wait(Operation& operation, int rank, const std::function<control::Wait()>& describe) {
  spin(operation);
  if (operation.state.load(std::memory_order_acquire) == Operation::State::complete) return;
  struct Done {
    control::Ledger& ledger;
    ~Done() { ledger.done(); }
  } const done{ledger(rank)};
  if (!would_return(operation) && !sleep(operation, rank, describe)) {
    control::Complaint complaint{rank, describe(), ""};
    complaint.wait.seconds = std::chrono::duration<double>(deadline_.per_operation).count();
    complaint.message = cat("rank ", rank, " waited ", describe_duration(deadline_.per_operation), " for ",
                            describe_ranks(complaint.wait.ranks), ": ", complaint.wait.op);
    complain(complaint);
  }
  switch (operation.state.load(std::memory_order_acquire)) {
    case Operation::State::complete:
      return;
    case Operation::State::failed:
      complain({rank, {{}, describe().op, "", -1, 0}, operation.failure});
      break;
    case Operation::State::pending:
      break;
  }
  throw_failure_of_peer(rank);
}

void ThreadHub::check(int rank) const {
  if (failed_.load(std::memory_order_acquire)) throw_failure_of_peer(rank);
}

void ThreadHub::throw_failure_of_peer(int rank) const {
  const auto first = failure();
  throw_failure({first->first, static_cast<int>(first->second.code), "", first->second.message, 0, ""}, rank);
}

std::map<int, control::RankState> ThreadHub::states() const {
  std::map<int, control::RankState> states;
  for (std::size_t r = 0; r < ledgers_.size(); ++r) states[static_cast<int>(r)] = ledgers_[r].state();
  return states;
}

/// Others get stuck meanwhile, or say why they cannot go on.
void ThreadHub::complain(const control::Complaint& complaint) {
  for (const auto end = Clock::now() + kMoment; Clock::now() < end && !failed_.load();)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  if (failed_.load(std::memory_order_acquire)) return;
  const auto culprit = control::find_culprit(states(), complaint);
  abort(culprit.rank, {ExitCode::protocol, culprit.cause, {}});
}

void ThreadHub::on_failure(std::function<void(const std::string&)> report) {
  const std::lock_guard lock(failure_mutex_);
  report_ = std::move(report);
}

void ThreadHub::abort(int rank, const Error& error) {
  const auto states = this->states();
  std::function<void(const std::string&)> report;
  {
    const std::lock_guard lock(failure_mutex_);
    if (failure_) return;
    failure_ = {rank, error};
    report = report_;
  }
  failed_.store(true, std::memory_order_release);
  for (Bell& bell : bells_) {
    {
      const std::lock_guard lock(bell.mutex);
    }
    bell.ring.notify_all();
  }
  if (!report) return;
  const control::RankState& own = states.at(rank);
  report(control::failure_report({rank, static_cast<int>(error.code), "", one_line(error.message), own.step,
                                  own.wait ? own.wait->op : ""},
                                 states));
}

std::optional<std::pair<int, Error>> ThreadHub::failure() const {
  const std::lock_guard lock(failure_mutex_);
  return failure_;
}

}  // namespace cornstarch::comm
