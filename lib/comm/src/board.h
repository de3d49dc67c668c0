#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <iosfwd>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch::comm {

/// The first rank that failed, as all the others hear of it.
struct RankFailure {
  int rank = 0;
  int code = 0;  ///< what it exits with; 0 if it died without a word
  std::string host;
  std::string cause;
};

struct BoardOptions {
  std::chrono::milliseconds ack{2'000};  ///< how long a failing rank waits to be heard
  std::chrono::milliseconds grace{
      5'000};  ///< from the notice to the end of a process that does not end by itself
  std::function<void(const std::string&)> print;  ///< where the FATAL line goes; default: the console
  std::function<void(int)> end_process;           ///< default: _exit
};

/// A control connection of every rank to rank 0, read by a thread of its own. Whoever fails tells rank 0,
/// which prints one line and tells everyone; a connection that ends without a goodbye is a death notice.
///
///   to rank 0     hello <token> <rank> <host> | here | failed <code> <cause> | bye
///   from rank 0   welcome <host> | failed <rank> <code> <host> <cause> | ack | bye
class FailureBoard {
 public:
  /// Rank 0's end: listens on the loopback interface if all ranks are on one host, else on every interface.
  static Result<std::unique_ptr<FailureBoard>> serve(int world_size, bool one_host,
                                                     BoardOptions options = {});
  /// The others' end. `address` is what rank 0's address() gives.
  static Result<std::unique_ptr<FailureBoard>> join(int rank, const std::string& address,
                                                    BoardOptions options = {});
  ~FailureBoard();

  /// "<token> <port> <host address>...", without the addresses where all ranks are on one host.
  const std::string& address() const { return address_; }
  /// Rank 0: until every rank has connected; error 69 names those that have not.
  Result<void> wait_for_all(std::chrono::milliseconds limit);

  bool failed() const { return failed_.load(std::memory_order_acquire); }
  std::optional<RankFailure> failure() const;
  /// Returns 300 ms after the notice, so that the rank that failed ends first and the launcher reports its
  /// exit code.
  void let_it_end_first() const;

  /// This rank failed. Returns when rank 0 has heard it. Does nothing if a failure is known already.
  void fail(ExitCode code, const std::string& cause);
  /// A clean end: nobody takes the end of this connection for a death.
  void leave();

 private:
  struct Link {
    int fd = -1;
    int claims = -1;
    int rank = -1;  ///< -1 until it is sure
    std::string host;
    std::string input;
    bool left = false;
  };
  using Lock = std::unique_lock<std::mutex>;

  FailureBoard(int rank, int world_size, BoardOptions options);
  Result<void> listen(bool one_host);
  Result<void> connect(const std::string& address);
  void start();

  void run();
  void poll_once();
  int poll_timeout() const;
  void accept_link(const Lock& lock);
  void read_link(Link& link, const Lock& lock);
  void handle(Link& link, const std::string& line, const Lock& lock);
  bool handle_stranger(Link& link, const std::string& verb, std::istream& in) const;
  void handle_end(Link& link, const Lock& lock);
  void record(RankFailure failure, const Lock& lock);
  void announce(const RankFailure& failure) const;
  void end_if_overdue();
  bool everyone_left() const;
  static bool send_line(const Link& link, const std::string& line);

  int rank_;
  int world_size_;
  BoardOptions options_;
  std::string token_;
  std::string address_;
  std::string host_;
  int listener_ = -1;
  int wake_ = -1;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Link>> links_;  ///< rank 0: all the others; elsewhere: rank 0
  bool acknowledged_ = false;
  bool stopping_ = false;
  std::atomic<bool> failed_{false};
  std::optional<RankFailure> failure_;
  std::chrono::steady_clock::time_point failed_at_;
  std::thread thread_;
};

}  // namespace cornstarch::comm
