#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cornstarch/comm/communicator.h"
#include "cornstarch/control/board.h"
#include "mpi_transport.h"

namespace cornstarch::comm {

class Engine;

/// Transport requests that belong together.
class Requests {
 public:
  explicit Requests(MpiTransport& transport) : transport_(transport) {}
  void send(const void* data, std::size_t bytes, int to, int tag, MpiTransport::Lane lane);
  void receive(void* data, std::size_t bytes, int from, int tag, MpiTransport::Lane lane);
  /// Whether all are complete. Throws a Failure (protocol) if a message was not as long as its receive;
  /// `describe` then says what this was.
  bool complete(const std::function<std::string()>& describe);
  std::vector<int> peers() const;  ///< of what is not complete, ascending

 private:
  struct Pending {
    MpiTransport::Request request;
    int peer;
    std::size_t bytes;
    bool receives;
  };
  void check(const Pending& pending, const MpiTransport::Arrival& arrival,
             const std::function<std::string()>& describe) const;

  MpiTransport& transport_;
  std::vector<Pending> pending_;
};

/// An operation under way. The engine holds it until it is complete, also when nobody waits for it any more.
class Exchange : public Work {
 public:
  explicit Exchange(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}
  void wait() override;
  bool done() override;

 protected:
  friend class Engine;
  virtual bool advance() = 0;                      ///< whether it is complete; may throw a Failure
  virtual std::vector<int> waits_for() const = 0;  ///< world ranks
  virtual std::string describe() const = 0;
  /// Whose operation it is, and which of it; of a message: nobody's.
  virtual std::pair<std::string, long long> place() const { return {"", -1}; }

  std::shared_ptr<Engine> engine_;

 private:
  bool complete_ = false;
  std::optional<Error> error_;
};

/// Moves every exchange of this process forward whenever one of them is waited for or asked about.
class Engine {
 public:
  Engine(std::unique_ptr<MpiTransport> transport, std::unique_ptr<control::FailureBoard> board,
         Deadline deadline);
  ~Engine();

  MpiTransport& transport() { return *transport_; }
  control::FailureBoard& board() { return *board_; }
  Communicator::Traffic& traffic() { return traffic_; }

  void start(const std::shared_ptr<Exchange>& exchange);
  void progress();
  void wait(Exchange& exchange);
  void check() const;
  /// The end of this rank's part: waits for what is under way and leaves MPI and the board. After a failure,
  /// or if `unwinding`, nothing is waited for.
  void close(bool unwinding);

 private:
  static void settle(Exchange& exchange);
  void wait_for_all();
  control::Wait describe_wait(const Exchange& exchange) const;
  [[noreturn]] void complain(const Exchange& exchange, bool of_others, const std::string& message);
  [[noreturn]] void throw_peer_failed() const;

  std::unique_ptr<MpiTransport> transport_;
  std::unique_ptr<control::FailureBoard> board_;
  Deadline deadline_;
  bool crowded_;  ///< more ranks than cores on this host: who waits should leave the core to others
  std::list<std::shared_ptr<Exchange>> active_;
  Communicator::Traffic traffic_;
};

CommunicatorPtr engine_communicator(std::shared_ptr<Engine> engine);

/// Collectives made of messages (message_group.cpp). `tags` has a number per member, shared by the two ends
/// alone.
GroupPtr message_group(std::shared_ptr<Engine> engine, std::vector<int> ranks, std::vector<int> tags,
                       int group_rank, const std::string& name);

}  // namespace cornstarch::comm
