#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"

namespace at {
class Tensor;
}
namespace c10 {
struct Event;
}

/// Communication between ranks over tensors. One Communicator per rank; backends: threads of one process,
/// MPI, NCCL.
namespace cornstarch::comm {

enum class Reduce { sum, max };

/// An operation under way. The tensors it was given stay alive and must not be touched until wait() returns.
/// Of CUDA tensors, wait() makes the current stream wait, not the host: what follows on that stream may touch
/// them, and a host that reads them synchronises as ever. A Work that nobody waits for may be dropped: the
/// operation goes on.
class Work {
 public:
  virtual ~Work() = default;
  /// Returns when the operation is complete. Throws Failure, naming the rank that failed and why: protocol
  /// when the deadline passes or ranks disagree on what to do, on all ranks; peer_failed when another rank
  /// has failed otherwise.
  virtual void wait() = 0;
  /// Whether wait() would return at once; lets the backend make progress.
  virtual bool done() = 0;
  /// Lets a receive begin before it is waited for. Its message is one that the sender sends without waiting
  /// for this rank: on a GPU it takes room from what is computed until it is there.
  virtual void begin() {}
};
using WorkPtr = std::shared_ptr<Work>;

/// Ranks that call the same collectives in the same order. Tensors must be contiguous, on the backend's
/// device (NCCL: the GPU; the others: the CPU), of equal shape and dtype on every rank. A group of one does
/// nothing and costs nothing.
class Group {
 public:
  virtual ~Group() = default;
  virtual int rank() const = 0;  ///< within the group
  virtual int size() const = 0;
  virtual const std::vector<int>& ranks() const = 0;  ///< world ranks, ascending

  /// In place. The result is bit-identical on every rank.
  virtual WorkPtr start_all_reduce(const at::Tensor& tensor, Reduce op) = 0;
  virtual WorkPtr start_broadcast(const at::Tensor& tensor, int root) = 0;  ///< root: rank within the group
  /// out has size() times the elements of in, in group order. `in` may be this rank's part of out.
  virtual WorkPtr start_all_gather(const at::Tensor& out, const at::Tensor& in) = 0;
  /// The sum. in has size() times the elements of out and does not overlap it.
  virtual WorkPtr start_reduce_scatter(const at::Tensor& out, const at::Tensor& in) = 0;

  void all_reduce(const at::Tensor& tensor, Reduce op = Reduce::sum) { start_all_reduce(tensor, op)->wait(); }
  void broadcast(const at::Tensor& tensor, int root) { start_broadcast(tensor, root)->wait(); }
  void all_gather(const at::Tensor& out, const at::Tensor& in) { start_all_gather(out, in)->wait(); }
  void reduce_scatter(const at::Tensor& out, const at::Tensor& in) { start_reduce_scatter(out, in)->wait(); }
  virtual void barrier();
};
using GroupPtr = std::shared_ptr<Group>;

/// Streams of messages between two ranks, by what they are for: each keeps its order, and none waits for
/// another. Those over seams are handed out by lane_of_seam().
enum class Lane : int {
  context = 16'000,  ///< of attention over ranks that hold other tokens of the same samples
  weights,           ///< a model's, to who writes it
  selftest,
};
/// Activations over a seam of the plan, or the gradients that come back over it.
Lane lane_of_seam(int seam, bool gradients);

/// An operation as it ran on a stream of the backend's own: from when its tensors were there; waiting for the
/// other ranks is part of it.
struct Transfer {
  std::string name;        ///< "all_reduce sum over dp of llm stage 0", "send to rank 3"
  std::int64_t bytes = 0;  ///< of its largest tensor
  double begin_s = 0, end_s = 0;
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// The group of these world ranks (ascending, this rank among them). `name` appears in messages ("tp of llm
  /// stage 2"). Called by every member, in the same order for groups that share ranks; ranks outside do not
  /// take part.
  virtual GroupPtr group(const std::vector<int>& ranks, const std::string& name) = 0;
  GroupPtr world();

  /// Messages of one lane between two ranks arrive in the order they were sent. Sends never block the caller;
  /// a send is complete when the receiver has taken it. Both ends give the same dtype and number of elements.
  virtual WorkPtr send(const at::Tensor& tensor, int to, Lane lane, const std::string& what) = 0;
  virtual WorkPtr receive(const at::Tensor& tensor, int from, Lane lane, const std::string& what) = 0;

  /// Tells every other rank that this one cannot go on: their waits end with peer_failed, naming rank and
  /// cause. Ignored once any rank has failed. May be called from any thread.
  virtual void abort(const Error& error) = 0;
  void abort(const std::string& cause) { abort(Error{ExitCode::internal, cause, {}}); }

  /// What this rank is at, for whoever looks for the cause of a failure: "step 17 (training)".
  virtual void at(int step, const std::string& phase) = 0;

  /// Called once if a rank fails, by a thread of the backend, on rank 0 (on rank 1 if rank 0 is lost): the
  /// failure and what all ranks were at, as JSON.
  virtual void on_failure(std::function<void(const std::string&)> report) = 0;

  /// Throws Failure as Work::wait if a rank has failed: to be called once all have met, or not, when
  /// something was read from a device, since there operations that were cut off look complete, and now and
  /// then by who waits for something else than ranks.
  virtual void check() {}

  /// Waits until the GPU has all that was begun, receives only if they were waited for: the rest connects and
  /// is launched in the background. To be called before what waits for the whole GPU, and so for messages to
  /// come: their senders may wait for what a thread of this process could not launch meanwhile. What begins
  /// between two ranks for the first time, and collectives, are launched when all their ranks have begun
  /// them, which must not need anything that this rank begins later. Throws as Work::wait. Backends without a
  /// GPU: nothing.
  virtual void settle() {}

  /// Messages and bytes sent so far by this rank, for tests and reports.
  struct Traffic {
    long long messages = 0;
    long long bytes = 0;
    long long collectives = 0;
    long long collective_bytes = 0;
  };
  virtual Traffic traffic() const = 0;

  /// What carries messages, with its version: "Open MPI v4.1.4", "NCCL 2.28.9", "threads".
  virtual std::string backend() const { return "threads"; }

  /// Whether operations begun from now on are timed where they run; nothing waits for that. Backends without
  /// streams of their own time none.
  virtual void time_transfers(bool) {}
  /// Timed operations that have ended since the last call, their times in seconds since `zero`: an event with
  /// timing, of the same device, that has passed.
  virtual std::vector<Transfer> take_transfers(const c10::Event& /*zero*/) { return {}; }

 private:
  GroupPtr world_;
};
using CommunicatorPtr = std::shared_ptr<Communicator>;

struct Deadline {
  std::chrono::milliseconds per_operation{600'000};
  std::chrono::milliseconds start{120'000};  ///< for all processes to meet
  std::chrono::milliseconds step{0};  ///< between processes, from step to step as at() tells them; 0: none
};

/// Runs `body` once per rank, each in a thread of this process, and returns when all have ended. Throws the
/// Failure of the rank that failed first (its message begins "rank 3: ").
void run_threads(int num_ranks, Deadline deadline, const std::function<void(CommunicatorPtr)>& body);

/// A communicator of one rank.
CommunicatorPtr alone();

}  // namespace cornstarch::comm
