#include "thread_hub.h"

#include <thread>

#include "cornstarch/base/text.h"
#include "describe.h"

namespace cornstarch::comm {

ThreadHub::ThreadHub(int num_ranks, Deadline deadline)
    : deadline_(deadline),
      // A short spin saves the sleep where every rank has a core of its own; elsewhere it keeps others from
      // working.
      spins_(num_ranks <= static_cast<int>(std::thread::hardware_concurrency()) ? 2000 : 0),
      bells_(static_cast<std::size_t>(num_ranks)),
      mailboxes_(static_cast<std::size_t>(num_ranks)) {}

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

bool ThreadHub::sleep(const Operation& operation, int rank) {
  Bell& bell = bells_[static_cast<std::size_t>(rank)];
  std::unique_lock lock(bell.mutex);
  return bell.ring.wait_for(lock, deadline_.per_operation, [&] { return would_return(operation); });
}

void ThreadHub::wait(Operation& operation, int rank, const std::function<std::string()>& describe) {
  spin(operation);
  const bool in_time = would_return(operation) || sleep(operation, rank);
  switch (operation.state.load(std::memory_order_acquire)) {
    case Operation::State::complete:
      return;
    case Operation::State::failed:
      throw Failure(ExitCode::protocol, operation.failure);
    case Operation::State::pending:
      break;
  }
  if (const auto first = failure(); first && in_time) {
    throw Failure(ExitCode::peer_failed, stopped_because(first->first, first->second.message));
  }
  throw Failure(ExitCode::protocol, cat("rank ", rank, " waited ", describe_duration(deadline_.per_operation),
                                        " for ", describe()));
}

void ThreadHub::abort(int rank, const Error& error) {
  {
    const std::lock_guard lock(failure_mutex_);
    if (failure_) return;
    failure_ = {rank, error};
  }
  failed_.store(true, std::memory_order_release);
  for (Bell& bell : bells_) {
    {
      const std::lock_guard lock(bell.mutex);
    }
    bell.ring.notify_all();
  }
}

std::optional<std::pair<int, Error>> ThreadHub::failure() const {
  const std::lock_guard lock(failure_mutex_);
  return failure_;
}

}  // namespace cornstarch::comm
