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

#include "nccl_store.h"

namespace cornstarch::comm {

/// Throws Failure (device) with CUDA's words.
void check_cuda(cudaError_t error, const char* call);

/// Events are made once: a step needs many.
class EventPool {
 public:
  ~EventPool();
  cudaEvent_t take();
  void give(cudaEvent_t event) { free_.push_back(event); }

 private:
  std::vector<cudaEvent_t> free_;
};

/// A collective or a message.
struct Operation {
  enum class State { posted, running, complete };

  std::function<ncclResult_t(ncclComm_t, cudaStream_t)> launch;
  std::vector<at::Tensor> tensors;  ///< alive until the GPU is done with them
  std::string label;                ///< "as #3 of 'tp of llm stage 0'", "'activations of ...', tag 4"
  const char* verb = "";
  State state = State::posted;
  cudaEvent_t ready = nullptr;  ///< in the caller's stream: the tensors are there
  cudaEvent_t done = nullptr;   ///< in the channel's stream
  std::chrono::steady_clock::time_point released{};

  std::string describe() const;
};
using OperationPtr = std::shared_ptr<Operation>;

/// One NCCL communicator and its stream: operations run in the order in which they were posted, each as soon
/// as it is released. Nothing here waits; whoever holds the channel calls advance() until it says that all is
/// settled.
class Channel {
 public:
  /// `ranks`: ascending or as the channel's members have agreed; `key`: the same on all of them.
  /// max_ctas > 0 bounds the thread blocks of its kernels.
  Channel(Store& store, EventPool& events, std::string key, std::vector<int> ranks, int own, int max_ctas);
  ~Channel();

  const std::vector<int>& ranks() const { return ranks_; }
  /// The tensors are those that the current stream will have written.
  void post(const OperationPtr& operation);
  /// Lets `operation` and all that were posted before it begin.
  void release(const Operation& operation);
  void release_all();
  /// Connects, and launches what is released. Whether that is all done. Throws Failure (device) with NCCL's
  /// words.
  bool advance();
  /// Lets go of what the GPU is done with.
  void reap();
  bool idle() const { return waiting_.empty() && !launching_ && running_.empty(); }
  /// The oldest operation that was released and is not complete, or null.
  const Operation* oldest() const;
  /// The others, of whom at least one has not joined in.
  std::vector<int> others() const;

  /// Ends what runs, on the GPU too.
  void abort();
  /// finish() begins the clean end, which is reached when closed() says so.
  void finish();
  bool closed();

 private:
  bool connect();
  bool busy();
  void settle();
  void check(ncclResult_t result, const std::string& what);

  Store& store_;
  EventPool& events_;
  std::string key_;
  std::vector<int> ranks_;
  int own_;
  int max_ctas_;
  cudaStream_t stream_ = nullptr;
  ncclComm_t comm_ = nullptr;
  bool connected_ = false;
  std::deque<OperationPtr> waiting_;  ///< posted; the first released_ of them may begin
  std::size_t released_ = 0;
  OperationPtr launching_;
  std::deque<OperationPtr> running_;
};

}  // namespace cornstarch::comm
