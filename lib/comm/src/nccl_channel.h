#pragma once

#include <ATen/core/Tensor.h>
#include <cuda_runtime_api.h>
#include <nccl.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cornstarch/comm/communicator.h"
#include "cornstarch/control/board.h"

namespace cornstarch::comm {

/// Throws Failure (device) with CUDA's words.
void check_cuda(cudaError_t error, const char* call);

/// Events are made once: a step needs many.
class EventPool {
 public:
  explicit EventPool(unsigned flags) : flags_(flags) {}
  ~EventPool();
  cudaEvent_t take();
  void give(cudaEvent_t event) { free_.push_back(event); }

 private:
  unsigned flags_;
  std::vector<cudaEvent_t> free_;
};

struct EventPools {
  EventPool plain{cudaEventDisableTiming};
  EventPool timed{cudaEventDefault};
};

/// A collective or a message.
struct NcclOperation {
  enum class State { posted, running, complete };

  std::function<ncclResult_t(ncclComm_t, cudaStream_t)> launch;
  long long index = 0;              ///< of the channel's
  std::vector<at::Tensor> tensors;  ///< alive until the GPU is done with them
  std::string label;                ///< "as #3 of 'tp of llm stage 0'", "'activations of ...', tag 4"
  const char* verb = "";
  bool timed = false;
  State state = State::posted;
  cudaEvent_t ready = nullptr;  ///< in the caller's stream: the tensors are there
  cudaEvent_t begin = nullptr;  ///< in the channel's stream, if timed
  cudaEvent_t done = nullptr;   ///< in the channel's stream
  std::chrono::steady_clock::time_point released{};

  std::string describe() const;
  std::int64_t bytes() const;  ///< of its largest tensor
};
using NcclOperationPtr = std::shared_ptr<NcclOperation>;

/// Who a channel connects.
struct Route {
  std::string key;         ///< the same on all of them, and no other channel's
  std::string name;        ///< as people read it: "tp of llm stage 2", "messages to rank 3"
  std::string place;       ///< "over dp of llm stage 0", "to rank 3"
  std::vector<int> ranks;  ///< ascending, or as they have agreed
  int own = 0;             ///< this rank's place among them
  bool collective = true;  ///< the same operations on all of them
  int max_ctas = 0;        ///< bounds the thread blocks of the channel's kernels, if positive
};

/// One NCCL communicator and its stream: operations run in the order in which they were posted, each as soon
/// as it is released. Nothing here waits; whoever holds the channel calls advance() until it says that all is
/// settled.
class Channel {
 public:
  Channel(control::FailureBoard& board, EventPools& events, Route route);
  ~Channel();

  /// The tensors are those that the current stream will have written.
  void post(const NcclOperationPtr& operation);
  /// Tells the ledger of it.
  void note(control::Ledger& ledger, NcclOperation& operation);
  /// Whom it waits for.
  control::Wait wait_for(const NcclOperation& operation) const;
  /// Lets `operation` and all that were posted before it begin.
  void release(const NcclOperation& operation);
  void release_all();
  /// Connects, and launches what is released. Whether that is all done. Throws Failure (device) with NCCL's
  /// words.
  bool advance();
  /// Notes what the GPU is done with.
  void reap();
  /// Lets go of its tensors. Not for the watching thread: whoever frees memory may have to wait for the
  /// allocator, and that for the GPU.
  void forget() { spent_.clear(); }
  /// Whether the GPU has all that was released.
  bool launched() const { return !launching_ && released_ == 0; }
  bool idle() const { return waiting_.empty() && !launching_ && running_.empty(); }
  /// The oldest operation that was released and is not complete, or null.
  const NcclOperation* oldest() const;
  const std::string& name() const { return route_.name; }
  /// The others, of whom at least one has not joined in.
  std::vector<int> others() const;

  /// Timed operations that the GPU is done with and that were not taken before; seconds since `zero`.
  void take_transfers(cudaEvent_t zero, std::vector<Transfer>& to);

  /// Ends what runs, on the GPU too. Of several channels in one ncclGroup: memory that one frees waits for
  /// what runs in the others.
  void abort();
  /// finish() begins the clean end, which is reached when closed() says so.
  void finish();
  bool closed();

 private:
  bool connect();
  std::string connecting() const;
  bool busy();
  void launch(NcclOperation& operation);
  bool still_launching();
  void settle();
  void check(ncclResult_t result, const std::string& what);

  struct Timed {
    std::string name;
    std::int64_t bytes = 0;
    cudaEvent_t begin = nullptr, end = nullptr;
  };

  control::FailureBoard& board_;
  EventPools& events_;
  Route route_;
  cudaStream_t stream_ = nullptr;
  ncclComm_t comm_ = nullptr;
  bool connected_ = false;
  std::deque<NcclOperationPtr> waiting_;  ///< posted; the first released_ of them may begin
  std::size_t released_ = 0;
  NcclOperationPtr launching_;
  std::deque<NcclOperationPtr> running_;
  std::vector<Timed> timed_;
  int noted_;  ///< its place in the ledger
  long long posted_ = 0;
  std::vector<at::Tensor> spent_;
};

}  // namespace cornstarch::comm
