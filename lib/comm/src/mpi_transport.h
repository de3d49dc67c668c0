#pragma once

#include <cstddef>
#include <string>

/// What the MPI module gives the worker: bytes from rank to rank. The module links MPI and nothing else of
/// ours, so that all the rest (collectives, deadlines, messages) lives in the worker, whether MPI is
/// installed or not.
namespace cornstarch::comm {

class MpiTransport {
 public:
  /// Messages of different lanes never meet.
  enum class Lane { messages, collectives };
  using Request = void*;
  struct Arrival {
    bool truncated = false;  ///< the message was longer than the buffer
    std::size_t bytes = 0;   ///< received
    std::string error;       ///< MPI's own words if it failed
  };

  virtual ~MpiTransport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual int ranks_on_host() const = 0;
  virtual int max_tag() const = 0;
  virtual std::string library() const = 0;  ///< "Open MPI v4.1.4"

  /// Messages with the same ends, lane and tag keep their order. A send of the messages lane is complete when
  /// the receiver has begun to take it, one of the collectives lane when the buffer may be reused.
  virtual Request send(const void* data, std::size_t bytes, int to, int tag, Lane lane) = 0;
  virtual Request receive(void* data, std::size_t bytes, int from, int tag, Lane lane) = 0;
  /// Whether the request is complete; if so it is gone.
  virtual bool test(Request request, Arrival& arrival) = 0;

  /// Collective. No call after it.
  virtual void finalize() = 0;
  /// The end of a rank that has failed or heard of a failure, which exits with that code. Does not come back
  /// where the launcher would take what it does to the other ranks for the run's end.
  virtual void give_up(int code) = 0;
};

struct TransportOptions {
  std::size_t max_piece_bytes = std::size_t{1} << 30;  ///< MPI counts in int; longer messages go in pieces
};

/// The module's one symbol: initialises MPI. Null and the reason on failure.
using OpenMpiTransport = MpiTransport* (*)(const TransportOptions& options, std::string* error);
constexpr const char* kOpenMpiTransport = "cornstarch_open_mpi_transport";

}  // namespace cornstarch::comm
