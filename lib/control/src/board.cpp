#include "cornstarch/control/board.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "cornstarch/base/console.h"
#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/words.h"
#include "cornstarch/control/secret.h"
#include "star.h"
#include "state_json.h"

namespace cornstarch::control {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kRootCauseFirst{300};
constexpr milliseconds kTelling{1'000};  // for ranks that are asked what they are at
constexpr milliseconds kReporting{150};  // for the same once a failure is known
constexpr milliseconds kDazed{5'000};
constexpr std::size_t kLongestCause = 8'000;

void print_to_console(const std::string& line) { console().say(line, log::Level::error); }

}  // namespace

std::chrono::milliseconds longest_silence(milliseconds collective) {
  return std::clamp(collective, milliseconds(5'000), BoardOptions{}.silence);
}

class FailureBoard::Ear final : public Star::Ear {
 public:
  explicit Ear(FailureBoard& board) : board_(board) {}
  void heard(int from, const std::string& message) override { board_.heard(from, message); }
  void lost(int rank) override { board_.lost(rank); }
  void tick() override { board_.tick(); }

 private:
  FailureBoard& board_;
};

FailureBoard::FailureBoard(std::unique_ptr<Star> star, BoardOptions options)
    : options_(std::move(options)),
      ear_(std::make_unique<Ear>(*this)),
      star_(std::move(star)),
      rank_(star_->rank()) {
  if (!options_.print) options_.print = print_to_console;
  if (!options_.end_process) options_.end_process = [](int code) { _exit(code); };
}

FailureBoard::~FailureBoard() {
  star_->stop();
  Lock lock(mutex_);
  if (failure_ && reports_) report_failure(lock);
}

Result<std::unique_ptr<FailureBoard>> FailureBoard::serve(Meeting place, int world_size, bool one_host,
                                                          BoardOptions options) {
  auto star = Star::serve(place, world_size, one_host);
  if (!star) return tl::unexpected(star.error());
  std::unique_ptr<FailureBoard> board(new FailureBoard(std::move(*star), std::move(options)));
  board->place_ = std::move(place);
  board->star_->start(*board->ear_);
  return board;
}

Result<std::unique_ptr<FailureBoard>> FailureBoard::join(const Meeting& place, int rank,
                                                         BoardOptions options) {
  auto star = Star::join(place, rank, options.start);
  if (!star) return tl::unexpected(star.error());
  std::unique_ptr<FailureBoard> board(new FailureBoard(std::move(*star), std::move(options)));
  board->star_->start(*board->ear_);
  return board;
}

Result<std::unique_ptr<FailureBoard>> FailureBoard::connect(const Meeting& place,
                                                            const launch::LaunchContext& launch,
                                                            BoardOptions options) {
  if (launch.rank > 0) return join(place, launch.rank, std::move(options));
  auto board = serve(place, launch.world_size, launch.local_size == launch.world_size, std::move(options));
  if (board) (*board)->wait_for_all();
  return board;
}

void FailureBoard::wait_for_all() {
  const auto missing = star_->wait_for_all(made_ + options_.start, [this] { return failed(); });
  const Lock lock(mutex_);
  if (missing.empty()) return;
  const auto limit = describe_duration(options_.start);
  record({missing.front(), static_cast<int>(ExitCode::launch), star_->host(missing.front()),
          cat(describe_ranks(missing), " did not connect to rank 0 within ", limit), 0, ""},
         false, lock);
}

std::optional<RankFailure> FailureBoard::failure() const {
  const Lock lock(mutex_);
  return failure_;
}

int FailureBoard::exit_code() const {
  const Lock lock(mutex_);
  if (!failure_) return 0;
  const bool own = failure_->rank == rank_ && failure_->code;
  return own ? failure_->code : static_cast<int>(exit_code_of_others(*failure_));
}

void FailureBoard::let_it_end_first() const {
  Clock::time_point until;
  {
    const Lock lock(mutex_);
    if (!failure_ || failure_->rank == rank_) return;
    until = failed_at_ + kRootCauseFirst;
  }
  std::this_thread::sleep_until(until);
}

RankFailure FailureBoard::failure_of(int rank, int code, std::string cause, const Lock&) const {
  RankFailure failure{rank, code, star_->host(rank), std::move(cause), 0, {}};
  const auto told = states_.find(rank);
  if (rank != rank_ && told == states_.end()) return failure;
  const RankState state = rank == rank_ ? ledger_.state() : told->second;
  failure.step = state.step;
  if (state.wait) failure.op = state.wait->op;
  return failure;
}

void FailureBoard::fail(ExitCode code, const std::string& cause) {
  Lock lock(mutex_);
  if (failure_) return;
  const auto own = failure_of(rank_, static_cast<int>(code), cause.substr(0, kLongestCause), lock);
  record(own, false, lock);
  if (rank_ > 0) {
    tell_state();
    Json message = to_json(own);
    message["say"] = "failed";
    star_->send(0, text_of(message));
  }
  // Rank 0 lets the others tell what they were at.
  changed_.wait_for(lock, options_.ack,
                    [&] { return rank_ > 0 ? acknowledged_ || !star_->connected(0) : !reports_; });
}

void FailureBoard::complain(const Complaint& complaint) {
  Lock lock(mutex_);
  if (failure_) return;
  if (rank_ == 0) {
    heard_complaint(complaint, lock);
  } else {
    star_->send(0, text_of({{"say", "complaint"},
                            {"wait", to_json(complaint.wait)},
                            {"msg", complaint.message.substr(0, kLongestCause)}}));
  }
  if (changed_.wait_for(lock, options_.silence + options_.moment + 2 * kTelling, [&] { return !!failure_; }))
    return;
  record(failure_of(rank_, static_cast<int>(ExitCode::protocol), complaint.message, lock), false, lock);
}

void FailureBoard::on_failure(std::function<void(const std::string&)> report) {
  const Lock lock(mutex_);
  report_ = std::move(report);
}

bool FailureBoard::everyone_left() const {
  if (rank_ > 0) return left_.count(0) > 0 || !star_->connected(0);
  for (int r = 1; r < star_->world_size(); ++r) {
    if (left_.count(r) == 0 && star_->connected(r)) return false;
  }
  return true;
}

void FailureBoard::leave() {
  Lock lock(mutex_);
  // Rank 0 leaves last: until then it is the one who notices a death.
  if (rank_ > 0) star_->send(0, text_of({{"say", "bye"}}));
  changed_.wait_for(lock, options_.grace, [&] { return everyone_left() || failure_; });
  for (int r = 0; r < std::max(star_->world_size(), 1); ++r) {
    if (rank_ == 0) star_->send(r, text_of({{"say", "bye"}}));
    left_.insert(r);
  }
}

void FailureBoard::publish(const std::string& key, const std::string& value) {
  const Lock lock(mutex_);
  if (rank_ == 0) return heard_value(key, value, lock);
  values_[key] = value;
  star_->send(0, text_of({{"say", "value"}, {"key", key}, {"value", to_hex(value)}}));
}

std::optional<std::string> FailureBoard::find(const std::string& key) {
  const Lock lock(mutex_);
  if (const auto found = values_.find(key); found != values_.end()) return found->second;
  if (rank_ > 0 && wanted_[key].insert(rank_).second)
    star_->send(0, text_of({{"say", "want"}, {"key", key}}));
  return std::nullopt;
}

void FailureBoard::arrive() {
  const Lock lock(mutex_);
  if (rank_ == 0) return heard_arrival(0, lock);
  star_->send(0, text_of({{"say", "arrived"}}));
}

bool FailureBoard::all_arrived() const {
  const Lock lock(mutex_);
  return all_arrived_;
}

void FailureBoard::heard(int from, const std::string& message) {
  const Json json = Json::parse(message, nullptr, false);
  if (!json.is_object()) return;
  const std::string what = text_in(json, "say");
  const Lock lock(mutex_);
  heard_[from] = Clock::now();
  if (what == "beat") states_[from].step = number_in(json, "step");
  if (what == "tell") tell_state();
  if (what == "state" && json.contains("state") && json["state"].is_object()) {
    states_[from] = state_in(json["state"]);
    told_.insert(from);
  }
  if (what == "bye") left_.insert(from);
  if (what == "ack") acknowledged_ = true;
  if (what == "value") heard_value(text_in(json, "key"), from_hex(text_in(json, "value")), lock);
  if (what == "want" && rank_ == 0) heard_wish(from, text_in(json, "key"), lock);
  if (what == "arrived") heard_arrival(from, lock);
  if (what == "failed") heard_failure(from, failure_in(json), lock);
  if (what == "complaint" && rank_ == 0 && json.contains("wait") && json["wait"].is_object())
    heard_complaint({from, wait_in(json["wait"]), text_in(json, "msg")}, lock);
  changed_.notify_all();
}

void FailureBoard::heard_failure(int from, RankFailure failure, const Lock& lock) {
  if (rank_ == 0) {
    failure.rank = from;
    failure.host = star_->host(from);
  } else {
    tell_state();
  }
  record(std::move(failure), true, lock);
  const bool reports_it = reports_ && failure_->rank == from;
  if (rank_ == 0 && !reports_it) star_->send(from, text_of({{"say", "ack"}}));
}

void FailureBoard::heard_complaint(Complaint complaint, const Lock&) {
  if (failure_ || complaint_) return;
  complaint_ = std::move(complaint);
  complained_at_ = Clock::now();
}

void FailureBoard::heard_value(const std::string& key, const std::string& value, const Lock&) {
  values_[key] = value;
  if (rank_ > 0) return;
  for (const int rank : wanted_[key])
    star_->send(rank, text_of({{"say", "value"}, {"key", key}, {"value", to_hex(value)}}));
  wanted_.erase(key);
}

void FailureBoard::heard_wish(int from, const std::string& key, const Lock& lock) {
  wanted_[key].insert(from);
  if (const auto found = values_.find(key); found != values_.end())
    heard_value(key, std::string(found->second), lock);
}

void FailureBoard::heard_arrival(int from, const Lock&) {
  arrived_.insert(from);
  all_arrived_ = rank_ > 0 || arrived_.size() == static_cast<std::size_t>(star_->world_size());
  if (rank_ > 0 || !all_arrived_) return;
  to_others(text_of({{"say", "arrived"}}));
}

void FailureBoard::lost(int rank) {
  const Lock lock(mutex_);
  notice_own_stop();
  if (left_.count(rank) == 0) record(failure_of(rank, 0, "died (connection lost)", lock), false, lock);
  changed_.notify_all();
}

/// To rank 0, as FAILURE.json will have it.
void FailureBoard::tell_state() const {
  star_->send(0, text_of({{"say", "state"}, {"state", to_json(ledger_.state())}}));
}

void FailureBoard::to_others(const std::string& message, int but) const {
  for (int r = 1; r < star_->world_size(); ++r) {
    if (r != but) star_->send(r, message);
  }
}

/// If rank 0 itself is lost, the next rank speaks for it.
bool FailureBoard::speaks(const RankFailure& failure, bool heard) const {
  return Clock::now() - woke_ > kDazed && (rank_ == 0 || (rank_ == 1 && failure.rank == 0 && !heard));
}

void FailureBoard::record(RankFailure failure, bool heard, const Lock&) {
  if (failure_) return;
  for (std::string* text : {&failure.host, &failure.cause, &failure.op}) *text = one_line(*text);
  failure_ = std::move(failure);
  failed_at_ = Clock::now();
  reports_ = speaks(*failure_, heard);
  if (reports_) announce(*failure_);
  if (rank_ == 0) {
    Json message = to_json(*failure_);
    message["say"] = "failed";
    // Who failed knows, unless others found out.
    to_others(text_of(message), failure_->code == static_cast<int>(ExitCode::protocol) ? -1 : failure_->rank);
  }
  failed_.store(true, std::memory_order_release);
  changed_.notify_all();
}

void FailureBoard::announce(const RankFailure& failure) const {
  const std::string code = failure.code ? std::to_string(failure.code) : "?";
  const std::string step = failure.step ? std::to_string(failure.step) : "?";
  const std::string op = failure.op.empty() ? "?" : cat('"', failure.op, '"');
  options_.print(cat("FATAL rank=", failure.rank, " host=", failure.host, " code=", code, " step=", step,
                     " op=", op, " msg=", failure.cause, "\n"));
}

void FailureBoard::tick() {
  {
    Lock lock(mutex_);
    notice_own_stop();
    beat(lock);
    if (!failure_) notice_silence(lock);
    if (!failure_ && rank_ == 0 && options_.step.count() > 0) notice_long_step(lock);
    if (!failure_ && complaint_) inquire(lock);
    if (failure_ && reports_) report_failure(lock);
    ticked_ = Clock::now();
    if (!overdue(lock)) return;
  }
  options_.end_process(exit_code());
}

/// Whoever was stopped for long has been judged by the others, and says nothing of their ends.
void FailureBoard::notice_own_stop() {
  if (Clock::now() - ticked_ > options_.silence / 2) woke_ = Clock::now();
}

void FailureBoard::beat(const Lock&) {
  const auto now = Clock::now();
  if (now - beaten_ < options_.beat) return;
  beaten_ = now;
  if (rank_ == 0) return to_others(text_of({{"say", "beat"}}));
  star_->send(0, text_of({{"say", "beat"}, {"step", ledger_.step()}}));
}

/// Whoever was stopped itself does not know who else was.
void FailureBoard::notice_silence(const Lock& lock) {
  const auto now = Clock::now();
  const bool was_stopped = now - ticked_ > std::max<Clock::duration>(2 * options_.beat, milliseconds(1'000));
  const auto quiet = describe_duration(options_.silence);
  for (int r = rank_ == 0 ? 1 : 0; r < (rank_ == 0 ? star_->world_size() : 1); ++r) {
    if (!star_->connected(r) || left_.count(r) > 0) continue;
    auto& last = heard_.try_emplace(r, now).first->second;
    if (was_stopped) last = now;
    if (now - last <= options_.silence) continue;
    return record(failure_of(r, static_cast<int>(ExitCode::protocol),
                             cat("does not answer for ", quiet, " (stopped, or its host is gone)"), lock),
                  false, lock);
  }
}

void FailureBoard::notice_long_step(const Lock& lock) {
  const int step = ledger_.step();
  const auto now = Clock::now();
  if (step == 0 || step != step_) {
    step_ = step;
    stepped_ = now;
  }
  if (now - stepped_ <= options_.step) return;
  const auto state = ledger_.state();
  heard_complaint({0, state.wait.value_or(Wait{}),
                   cat("step ", step, " takes more than ", describe_duration(options_.step))},
                  lock);
}

bool FailureBoard::all_told(const Lock&) const {
  for (int r = 1; r < star_->world_size(); ++r) {
    if (told_.count(r) == 0 && star_->connected(r) && left_.count(r) == 0) return false;
  }
  return true;
}

/// Rank 0, some time after a complaint.
void FailureBoard::inquire(const Lock& lock) {
  const auto since = Clock::now() - complained_at_;
  if (since < options_.moment) return;
  if (!asked_) {
    asked_ = true;
    return to_others(text_of({{"say", "tell"}}));
  }
  if (!all_told(lock) && since < options_.moment + kTelling) return;
  states_[0] = ledger_.state();
  told_.insert(0);
  std::map<int, RankState> told;
  for (const int rank : told_) told[rank] = states_[rank];
  for (const int rank : left_) told[rank].phase = "ended";
  RankFailure failure = find_culprit(told, *complaint_);
  failure.host = star_->host(failure.rank);
  if (failure.step == 0) failure.step = states_[failure.rank].step;
  record(std::move(failure), false, lock);
}

void FailureBoard::report_failure(Lock& lock) {
  if (!all_told(lock) && Clock::now() - failed_at_ < kReporting && star_->running()) return;
  states_[rank_] = ledger_.state();
  if (const auto report = report_) {
    const std::string text = failure_report(*failure_, states_);
    lock.unlock();
    report(text);
    lock.lock();
  }
  reports_ = false;
  if (rank_ == 0) star_->send(failure_->rank, text_of({{"say", "ack"}}));
  changed_.notify_all();
}

/// Whether this process should have ended by itself.
bool FailureBoard::overdue(const Lock&) {
  if (!failure_ || overdue_ || Clock::now() < failed_at_ + options_.grace) return false;
  return overdue_ = true;
}

}  // namespace cornstarch::control
