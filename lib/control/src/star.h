#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cornstarch/control/meeting.h"
#include "wire.h"

namespace cornstarch::control {

/// A connection of every rank to rank 0, read by a thread of its own. Nobody gets in who does not know the
/// secret, and nobody in a rank's place that is there already; once all ranks are in, rank 0 listens no more.
class Star {
 public:
  using Clock = std::chrono::steady_clock;

  /// Called by the star's thread, which holds no lock meanwhile.
  struct Ear {
    virtual ~Ear() = default;
    virtual void heard(int from, const std::string& message) = 0;
    /// The connection has ended, or what came over it was not the other's.
    virtual void lost(int rank) = 0;
    virtual void tick() = 0;  ///< ten times a second, and whenever something happened
  };

  /// Rank 0's end; on the loopback interface alone if all ranks are on one host. `place` is then where it
  /// listens.
  static Result<std::unique_ptr<Star>> serve(Meeting& place, int world_size, bool one_host);
  /// The others' end; tries until the limit.
  static Result<std::unique_ptr<Star>> join(const Meeting& place, int rank, std::chrono::milliseconds limit);
  ~Star();
  void start(Ear& ear);
  void stop();  ///< the ear hears nothing afterwards

  bool running() const { return thread_.joinable(); }

  int rank() const { return rank_; }
  int world_size() const { return world_size_; }  ///< on rank 0
  /// Rank 0: until every rank has connected, or nobody waits for them any more; returns those that have not.
  std::vector<int> wait_for_all(Clock::time_point end, const std::function<bool()>& in_vain = {});

  /// To rank 0, or from there to any other; never waits. Nothing where there is no connection (any more).
  void send(int to, const std::string& message);
  bool connected(int rank) const;
  std::string host(int rank) const;  ///< "?" before it has connected

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Link {
    enum class State { greeted, claimed, member };
    int fd = -1;
    State state = State::greeted;
    int rank = -1;
    std::string nonce, raw;  ///< until its claim has come
    Opener in;
    Sealer out;
    std::string output;  ///< what has not gone yet
    Clock::time_point since = Clock::now();
  };
  struct Event {
    int rank;
    bool lost;
    std::string message;
  };
  /// What came of an attempt to join, the more telling the later.
  enum class Outcome {
    joined,
    nobody,
    silent,
    closed,
    foreign,
    refused,
    stranger,
    other_run,
    taken,
    outside
  };

  Star(Key key, int rank, int world_size);
  Result<void> listen(Meeting& place, bool one_host);
  Outcome attempt(const std::string& host, int port, std::chrono::milliseconds limit, std::string* why);
  Outcome introduce(Link& link, std::chrono::milliseconds limit);
  Error cannot_join(const Meeting& place, Outcome outcome, const std::string& why,
                    std::chrono::milliseconds limit) const;

  void run(Ear& ear);
  void poll_once(std::vector<Event>& events);
  void accept_links(const Lock& lock);
  void read_link(Link& link, std::vector<Event>& events, const Lock& lock);
  void read_claim_of(Link& link, const Lock& lock);
  void take(Link& link, std::string message, std::vector<Event>& events, const Lock& lock);
  void write_link(Link& link);
  void end(Link& link, std::vector<Event>& events);
  void drop_strangers();
  Link* member(int rank) const;
  bool complete() const;

  Key key_;
  int rank_;
  int world_size_;
  int listener_ = -1;
  int wake_ = -1;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Link>> links_;  ///< rank 0: all the others; elsewhere: rank 0
  std::vector<std::string> hosts_;            ///< by rank
  Clock::time_point listen_again_{};
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace cornstarch::control
