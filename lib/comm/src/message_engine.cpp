#include "message_engine.h"

#include <sched.h>

#include <algorithm>
#include <thread>

#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "describe.h"

namespace cornstarch::comm {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

/// Spins, then yields, then sleeps.
class Backoff {
 public:
  explicit Backoff(bool crowded) : spin_(crowded ? 0 : 200), yield_(crowded ? 50 : 1'000) {}

  void pause() {
    const auto waited = Clock::now() - start_;
    if (waited < spin_) return;
    if (waited < yield_) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(microseconds(50));
    }
  }
  Clock::duration waited() const { return Clock::now() - start_; }

 private:
  Clock::time_point start_ = Clock::now();
  microseconds spin_;
  microseconds yield_;
};

/// Tells the ledger what is waited for, once that takes long, and now and then.
class Noted {
 public:
  explicit Noted(control::Ledger& ledger) : ledger_(ledger) {}
  ~Noted() {
    if (noted_ > start_) ledger_.done();
  }

  template <typename Describe>
  void refresh(const Describe& describe) const {
    if (Clock::now() - noted_ < std::chrono::milliseconds(100)) return;
    noted_ = Clock::now();
    ledger_.waits([wait = describe(), start = start_]() mutable {
      wait.seconds = std::chrono::duration<double>(Clock::now() - start).count();
      return wait;
    });
  }

 private:
  control::Ledger& ledger_;
  Clock::time_point start_ = Clock::now();
  mutable Clock::time_point noted_ = start_;
};

}  // namespace

void Requests::send(const void* data, std::size_t bytes, int to, int tag, MpiTransport::Lane lane) {
  pending_.push_back({transport_.send(data, bytes, to, tag, lane), to, bytes, false});
}

void Requests::receive(void* data, std::size_t bytes, int from, int tag, MpiTransport::Lane lane) {
  pending_.push_back({transport_.receive(data, bytes, from, tag, lane), from, bytes, true});
}

bool Requests::complete(const std::function<std::string()>& describe) {
  std::erase_if(pending_, [&](const Pending& pending) {
    MpiTransport::Arrival arrival;
    if (!transport_.test(pending.request, arrival)) return false;
    check(pending, arrival, describe);
    return true;
  });
  return pending_.empty();
}

void Requests::check(const Pending& pending, const MpiTransport::Arrival& arrival,
                     const std::function<std::string()>& describe) const {
  if (!arrival.error.empty()) {
    throw Failure(ExitCode::device, cat(describe(), ": MPI: ", arrival.error, " (rank ", pending.peer, ")"));
  }
  if (!pending.receives || (!arrival.truncated && arrival.bytes == pending.bytes)) return;
  const std::string sent = arrival.truncated ? "more" : std::to_string(arrival.bytes);
  throw Failure(ExitCode::protocol,
                cat("rank ", transport_.rank(), " expected ", pending.bytes, " bytes of rank ", pending.peer,
                    ", which sent ", sent, ": ", describe()));
}

std::vector<int> Requests::peers() const {
  std::vector<int> peers;
  for (const auto& pending : pending_) peers.push_back(pending.peer);
  std::sort(peers.begin(), peers.end());
  peers.erase(std::unique(peers.begin(), peers.end()), peers.end());
  return peers;
}

void Exchange::wait() { engine_->wait(*this); }

bool Exchange::done() {
  engine_->progress();
  return complete_ || engine_->board().failed();
}

Engine::Engine(std::unique_ptr<MpiTransport> transport, std::unique_ptr<control::FailureBoard> board,
               Deadline deadline)
    : transport_(std::move(transport)),
      board_(std::move(board)),
      deadline_(deadline),
      crowded_(transport_->ranks_on_host() > static_cast<int>(std::thread::hardware_concurrency())) {}

Engine::~Engine() = default;

void Engine::start(const std::shared_ptr<Exchange>& exchange) {
  active_.push_back(exchange);
  progress();
}

void Engine::settle(Exchange& exchange) {
  try {
    exchange.complete_ = exchange.advance();
  } catch (const Failure& failure) {
    exchange.complete_ = true;
    exchange.error_ = failure.error();
  }
}

void Engine::progress() {
  for (auto it = active_.begin(); it != active_.end();) {
    settle(**it);
    it = (*it)->complete_ ? active_.erase(it) : std::next(it);
  }
}

control::Wait Engine::describe_wait(const Exchange& exchange) const {
  const auto [group, index] = exchange.place();
  return {exchange.waits_for(), exchange.describe(), group, index, 0};
}

void Engine::wait(Exchange& exchange) {
  Backoff backoff(crowded_);
  const Noted noted(board_->ledger());
  while (true) {
    progress();
    if (exchange.error_ && exchange.error_->code == ExitCode::protocol && !board_->failed())
      complain(exchange, false, exchange.error_->message);
    if (board_->failed() && !exchange.complete_) throw_peer_failed();
    if (exchange.error_) throw Failure(*exchange.error_);
    if (exchange.complete_) return;
    if (backoff.waited() > deadline_.per_operation) break;
    noted.refresh([&] { return describe_wait(exchange); });
    backoff.pause();
  }
  complain(exchange, true,
           cat("rank ", transport_->rank(), " waited ", describe_duration(deadline_.per_operation), " for ",
               describe_ranks(exchange.waits_for()), ": ", exchange.describe()));
}

void Engine::complain(const Exchange& exchange, bool of_others, const std::string& message) {
  control::Complaint complaint{transport_->rank(), describe_wait(exchange), message};
  complaint.wait.seconds = std::chrono::duration<double>(deadline_.per_operation).count();
  if (!of_others) complaint.wait.ranks.clear();
  board_->complain(complaint);
  throw_peer_failed();
}

void Engine::check() const {
  if (board_->failed()) throw_peer_failed();
}

void Engine::throw_peer_failed() const {
  board_->let_it_end_first();
  throw_failure(*board_->failure(), transport_->rank());
}

void Engine::wait_for_all() {
  while (!active_.empty()) {
    const auto first = active_.front();
    wait(*first);
  }
}

void Engine::close(bool unwinding) {
  if (unwinding) board_->fail(ExitCode::internal, "ended by an exception");
  try {
    if (!board_->failed()) wait_for_all();
  } catch (const Failure& failure) {
    log::error(failure.what());
    board_->fail(failure.error().code, failure.what());
  }
  active_.clear();
  if (board_->failed()) return transport_->give_up(board_->exit_code());
  transport_->finalize();
  board_->leave();
}

}  // namespace cornstarch::comm
