#include "cornstarch/control/board.h"

#include <unistd.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "cornstarch/base/console.h"
#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/control/secret.h"
#include "cornstarch/control/words.h"
#include "star.h"

namespace cornstarch::control {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kRootCauseFirst{300};
constexpr std::size_t kLongestCause = 8'000;

std::string text_of(const Json& message) {
  return message.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string text_in(const Json& message, const char* name) {
  const auto found = message.find(name);
  return found != message.end() && found->is_string() ? found->get<std::string>() : std::string();
}

int number_in(const Json& message, const char* name) {
  const auto found = message.find(name);
  return found != message.end() && found->is_number_integer() ? found->get<int>() : 0;
}

void print_to_console(const std::string& line) { console().say(line, log::Level::error); }

}  // namespace

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

FailureBoard::~FailureBoard() { star_->stop(); }

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
  if (!board) return board;
  if (const auto all = (*board)->wait_for_all(); !all) return tl::unexpected(all.error());
  return board;
}

Result<void> FailureBoard::wait_for_all() { return star_->wait_for_all(options_.start); }

std::optional<RankFailure> FailureBoard::failure() const {
  const Lock lock(mutex_);
  return failure_;
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

void FailureBoard::fail(ExitCode code, const std::string& cause) {
  Lock lock(mutex_);
  if (failure_) return;
  const std::string text = one_line(cause).substr(0, kLongestCause);
  record({rank_, static_cast<int>(code), star_->host(rank_), text, 0, {}}, lock);
  if (rank_ == 0) return;
  star_->send(0, text_of({{"say", "failed"}, {"code", static_cast<int>(code)}, {"cause", text}}));
  changed_.wait_for(lock, options_.ack, [&] { return acknowledged_ || !star_->connected(0); });
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
    if (rank_ == 0 && r > 0) star_->send(r, text_of({{"say", "bye"}}));
    left_.insert(r);
  }
}

void FailureBoard::publish(const std::string& key, const std::string& value) {
  const Lock lock(mutex_);
  if (rank_ == 0) return heard_value(0, key, value, lock);
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
  if (what == "bye") left_.insert(from);
  if (what == "ack") acknowledged_ = true;
  if (what == "value") heard_value(from, text_in(json, "key"), from_hex(text_in(json, "value")), lock);
  if (what == "want" && rank_ == 0) heard_wish(from, text_in(json, "key"), lock);
  if (what == "arrived") heard_arrival(from, lock);
  if (what == "failed") {
    const int rank = rank_ == 0 ? from : number_in(json, "rank");
    const std::string host = rank_ == 0 ? star_->host(from) : text_in(json, "host");
    record({rank, number_in(json, "code"), host, one_line(text_in(json, "cause")), 0, {}}, lock);
    if (rank_ == 0) star_->send(from, text_of({{"say", "ack"}}));
  }
  changed_.notify_all();
}

void FailureBoard::heard_value(int, const std::string& key, const std::string& value, const Lock&) {
  values_[key] = value;
  if (rank_ > 0) return;
  for (const int rank : wanted_[key])
    star_->send(rank, text_of({{"say", "value"}, {"key", key}, {"value", to_hex(value)}}));
  wanted_.erase(key);
}

void FailureBoard::heard_wish(int from, const std::string& key, const Lock& lock) {
  wanted_[key].insert(from);
  if (const auto found = values_.find(key); found != values_.end())
    heard_value(0, key, std::string(found->second), lock);
}

void FailureBoard::heard_arrival(int from, const Lock&) {
  arrived_.insert(from);
  all_arrived_ = rank_ > 0 || arrived_.size() == static_cast<std::size_t>(star_->world_size());
  if (rank_ > 0 || !all_arrived_) return;
  for (int r = 1; r < star_->world_size(); ++r) star_->send(r, text_of({{"say", "arrived"}}));
}

void FailureBoard::lost(int rank) {
  const Lock lock(mutex_);
  if (left_.count(rank) == 0) record({rank, 0, star_->host(rank), "died (connection lost)", 0, {}}, lock);
  changed_.notify_all();
}

void FailureBoard::record(RankFailure failure, const Lock&) {
  if (failure_) return;
  failure_ = std::move(failure);
  failed_at_ = Clock::now();
  // If rank 0 itself is lost, the next rank speaks for it.
  if (rank_ == 0 || (rank_ == 1 && failure_->rank == 0 && failure_->code == 0)) announce(*failure_);
  if (rank_ == 0) {
    const auto text = text_of({{"say", "failed"},
                               {"rank", failure_->rank},
                               {"code", failure_->code},
                               {"host", failure_->host},
                               {"cause", failure_->cause}});
    for (int r = 1; r < star_->world_size(); ++r) {
      if (r != failure_->rank) star_->send(r, text);
    }
  }
  failed_.store(true, std::memory_order_release);
}

void FailureBoard::announce(const RankFailure& failure) const {
  const std::string code = failure.code ? std::to_string(failure.code) : "?";
  const std::string step = failure.step ? std::to_string(failure.step) : "?";
  const std::string op = failure.op.empty() ? "?" : cat('"', failure.op, '"');
  options_.print(cat("FATAL rank=", failure.rank, " host=", failure.host, " code=", code, " step=", step,
                     " op=", op, " msg=", failure.cause, "\n"));
}

/// Ends a process that should have ended.
void FailureBoard::tick() {
  int code = static_cast<int>(ExitCode::peer_failed);
  {
    const Lock lock(mutex_);
    if (!failure_ || overdue_ || Clock::now() < failed_at_ + options_.grace) return;
    if (failure_->rank == rank_ && failure_->code) code = failure_->code;
    overdue_ = true;
  }
  options_.end_process(code);
}

}  // namespace cornstarch::control
