#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/control/culprit.h"
#include "cornstarch/control/ledger.h"
#include "cornstarch/control/meeting.h"

/// What the ranks of a run tell each other besides tensors.
namespace cornstarch::control {

class Star;

/// After which silence a rank counts as stopped, or its host as gone, where others wait as long for each
/// other: a busy host may say nothing for a while, but more than that need not be waited.
std::chrono::milliseconds longest_silence(std::chrono::milliseconds collective);

struct BoardOptions {
  std::chrono::milliseconds start{120'000};  ///< how long ranks wait for each other at the start
  std::chrono::milliseconds ack{2'000};      ///< how long a failing rank waits to be heard
  /// From the notice to the end of a process that does not end by itself.
  std::chrono::milliseconds grace{5'000};
  std::chrono::milliseconds step{0};      ///< the longest step, as the ledger tells it; 0: any
  std::chrono::milliseconds beat{1'000};  ///< how often a rank is heard of
  /// After which it counts as stopped, or its host as gone; with `grace` behind it, that ends all in 30 s.
  std::chrono::milliseconds silence{24'000};
  std::chrono::milliseconds moment{
      300};  ///< for other ranks to get stuck where they will, before one is blamed
  std::function<void(const std::string&)> print;  ///< where the FATAL line goes; default: the console
  std::function<void(int)> end_process;           ///< default: _exit
};

/// A control connection of every rank to rank 0. Whoever fails tells rank 0, which prints one line and tells
/// everyone; a connection that ends without a goodbye is a death notice. It also carries the few values that
/// ranks need of each other before they can exchange tensors.
class FailureBoard {
 public:
  /// Rank 0's end. On the loopback interface alone if all ranks are on one host. wait_for_all() is to follow.
  static Result<std::unique_ptr<FailureBoard>> serve(Meeting place, int world_size, bool one_host,
                                                     BoardOptions options = {});
  /// The others' end.
  static Result<std::unique_ptr<FailureBoard>> join(const Meeting& place, int rank,
                                                    BoardOptions options = {});
  /// Whichever of both this rank's is; on rank 0 with all there, or failed().
  static Result<std::unique_ptr<FailureBoard>> connect(const Meeting& place,
                                                       const launch::LaunchContext& launch,
                                                       BoardOptions options = {});
  ~FailureBoard();

  /// Rank 0: where it listens, for the others.
  const Meeting& place() const { return place_; }
  /// Rank 0: until every rank has connected, for as long as ranks wait at the start. Those that have not are
  /// a failure, which ends those that have.
  void wait_for_all();

  bool failed() const { return failed_.load(std::memory_order_acquire); }
  std::optional<RankFailure> failure() const;
  int exit_code() const;  ///< of this rank, once a failure is known
  /// Returns 300 ms after the notice, so that the rank that failed ends first and the launcher reports its
  /// exit code.
  void let_it_end_first() const;

  /// This rank failed. Returns when rank 0 has heard and reported it, since some launchers then kill the
  /// others with this one. Does nothing if a failure is known already.
  void fail(ExitCode code, const std::string& cause);
  /// This rank waits in vain, or got what it did not expect. Returns when it is known who is to blame.
  void complain(const Complaint& complaint);
  /// What this rank is at, as others may have to know.
  Ledger& ledger() { return ledger_; }
  /// Called once on the rank that prints the line: the failure and what all ranks were at, as JSON.
  void on_failure(std::function<void(const std::string&)> report);
  /// A clean end: nobody takes the end of this connection for a death.
  void leave();

  /// Gives a value, once, to whichever rank asks for that key.
  void publish(const std::string& key, const std::string& value);
  /// The value, if it has come; asks for it the first time.
  std::optional<std::string> find(const std::string& key);
  /// This rank has come to its end.
  void arrive();
  /// Whether all have.
  bool all_arrived() const;

 private:
  class Ear;
  using Lock = std::unique_lock<std::mutex>;

  using Clock = std::chrono::steady_clock;

  FailureBoard(std::unique_ptr<Star> star, BoardOptions options);
  void heard(int from, const std::string& message);
  void heard_failure(int from, RankFailure failure, const Lock& lock);
  void heard_value(const std::string& key, const std::string& value, const Lock& lock);
  void heard_wish(int from, const std::string& key, const Lock& lock);
  void heard_arrival(int from, const Lock& lock);
  void heard_complaint(Complaint complaint, const Lock& lock);
  void lost(int rank);
  void tick();
  void notice_own_stop();
  void beat(const Lock& lock);
  void notice_silence(const Lock& lock);
  void notice_long_step(const Lock& lock);
  void inquire(const Lock& lock);
  void report_failure(Lock& lock);
  bool overdue(const Lock& lock);
  RankFailure failure_of(int rank, int code, std::string cause, const Lock& lock) const;
  void record(RankFailure failure, bool heard, const Lock& lock);
  bool speaks(const RankFailure& failure, bool heard) const;
  void announce(const RankFailure& failure) const;
  void tell_state() const;
  void to_others(const std::string& message, int but = -1) const;
  bool all_told(const Lock& lock) const;
  bool everyone_left() const;

  BoardOptions options_;
  Clock::time_point made_ = Clock::now();
  Meeting place_;
  std::unique_ptr<Ear> ear_;
  std::unique_ptr<Star> star_;
  int rank_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::set<int> left_;     ///< that have said goodbye
  std::set<int> arrived_;  ///< rank 0
  bool all_arrived_ = false;
  std::map<std::string, std::string> values_;
  std::map<std::string, std::set<int>> wanted_;  ///< by whom; elsewhere than on rank 0 by itself
  Ledger ledger_;
  Clock::time_point ticked_ = Clock::now();
  Clock::time_point beaten_{};
  int step_ = 0;  ///< rank 0's own
  Clock::time_point stepped_ = Clock::now();
  std::map<int, Clock::time_point> heard_;  ///< when, of whom
  std::map<int, RankState> states_;         ///< as far as they have told
  std::set<int> told_;                      ///< all of it, when they were asked
  std::optional<Complaint> complaint_;      ///< rank 0: that is looked into
  Clock::time_point complained_at_;
  bool asked_ = false;
  Clock::time_point woke_ = Clock::now() - std::chrono::hours(1);  ///< after this process was stopped
  bool acknowledged_ = false;
  bool overdue_ = false;
  bool reports_ = false;  ///< whether this rank is to report the failure, and has not yet
  std::function<void(const std::string&)> report_;
  std::atomic<bool> failed_{false};
  std::optional<RankFailure> failure_;
  Clock::time_point failed_at_;
};

}  // namespace cornstarch::control
