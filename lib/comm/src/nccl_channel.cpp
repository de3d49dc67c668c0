#include "nccl_channel.h"

#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <cstring>

#include "cornstarch/base/text.h"
#include "describe.h"

namespace cornstarch::comm {

void check_cuda(cudaError_t error, const char* call) {
  if (error != cudaSuccess) throw Failure(ExitCode::device, cat(call, ": ", cudaGetErrorString(error)));
}

EventPool::~EventPool() {
  for (const cudaEvent_t event : free_) cudaEventDestroy(event);
}

cudaEvent_t EventPool::take() {
  cudaEvent_t event = nullptr;
  if (free_.empty()) {
    check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
  } else {
    event = free_.back();
    free_.pop_back();
  }
  return event;
}

std::string Operation::describe() const {
  return cat(verb, " (", tensors.empty() ? "" : comm::describe(tensors.front()), ") ", label);
}

Channel::Channel(Store& store, EventPool& events, std::string key, std::vector<int> ranks, int own,
                 int max_ctas)
    : store_(store),
      events_(events),
      key_(std::move(key)),
      ranks_(std::move(ranks)),
      own_(own),
      max_ctas_(max_ctas) {
  int least = 0, greatest = 0;
  check_cuda(cudaDeviceGetStreamPriorityRange(&least, &greatest), "cudaDeviceGetStreamPriorityRange");
  // What others wait for goes before what only this rank computes.
  check_cuda(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, greatest), "cudaStreamCreate");
}

Channel::~Channel() {
  abort();
  cudaStreamDestroy(stream_);
}

void Channel::post(const OperationPtr& operation) {
  operation->ready = events_.take();
  check_cuda(cudaEventRecord(operation->ready, c10::cuda::getCurrentCUDAStream()), "cudaEventRecord");
  waiting_.push_back(operation);
}

void Channel::release(const Operation& operation) {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](const OperationPtr& each) { return each.get() == &operation; });
  if (found == waiting_.end()) return;
  const auto count = static_cast<std::size_t>(found - waiting_.begin()) + 1;
  const auto now = std::chrono::steady_clock::now();
  for (; released_ < count; ++released_) waiting_[released_]->released = now;
}

void Channel::release_all() {
  if (!waiting_.empty()) release(*waiting_.back());
}

bool Channel::connect() {
  if (connected_) return true;
  if (!comm_) {
    ncclUniqueId id{};
    if (own_ == 0) {
      check(ncclGetUniqueId(&id), "ncclGetUniqueId");
      store_.set(key_, std::string(id.internal, sizeof id.internal));
    } else {
      const auto found = store_.find(key_);
      if (!found) return false;
      std::memcpy(id.internal, found->data(), std::min(found->size(), sizeof id.internal));
    }
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    if (max_ctas_ > 0) config.maxCTAs = max_ctas_;
    check(ncclCommInitRankConfig(&comm_, static_cast<int>(ranks_.size()), id, own_, &config), "connecting");
  }
  connected_ = !busy();
  return connected_;
}

bool Channel::busy() {
  ncclResult_t state = ncclSuccess;
  check(ncclCommGetAsyncError(comm_, &state), "ncclCommGetAsyncError");
  const Operation* operation = oldest();
  check(state, operation ? operation->describe() : connected_ ? key_ : "connecting " + key_);
  return state == ncclInProgress;
}

void Channel::check(ncclResult_t result, const std::string& what) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  throw Failure(ExitCode::device, cat(what, " with ", describe_ranks(others()), ": NCCL: ",
                                      ncclGetErrorString(result), ": ", one_line(ncclGetLastError(comm_))));
}

/// The launch is complete: the event comes behind its kernel.
void Channel::settle() {
  launching_->done = events_.take();
  check_cuda(cudaEventRecord(launching_->done, stream_), "cudaEventRecord");
  launching_->state = Operation::State::running;
  running_.push_back(std::move(launching_));
  launching_.reset();
}

bool Channel::advance() {
  if (!connect()) return false;
  if (launching_) {
    if (busy()) return false;
    settle();
  }
  while (released_ > 0) {
    launching_ = std::move(waiting_.front());
    waiting_.pop_front();
    --released_;
    check_cuda(cudaStreamWaitEvent(stream_, launching_->ready), "cudaStreamWaitEvent");
    check(launching_->launch(comm_, stream_), launching_->describe());
    if (busy()) return false;
    settle();
  }
  return !busy();  // an error may come later
}

void Channel::reap() {
  while (!running_.empty()) {
    if (cudaEventQuery(running_.front()->done) != cudaSuccess) {
      (void)cudaGetLastError();  // "not ready" is no error
      return;
    }
    Operation& operation = *running_.front();
    operation.state = Operation::State::complete;
    operation.tensors.clear();
    operation.launch = nullptr;
    events_.give(operation.ready);
    events_.give(operation.done);
    running_.pop_front();
  }
}

const Operation* Channel::oldest() const {
  if (!running_.empty()) return running_.front().get();
  if (launching_) return launching_.get();
  return released_ > 0 ? waiting_.front().get() : nullptr;
}

std::vector<int> Channel::others() const {
  std::vector<int> out = ranks_;
  out.erase(out.begin() + own_);
  return out;
}

void Channel::abort() {
  if (comm_) ncclCommAbort(comm_);
  comm_ = nullptr;
  connected_ = false;
}

void Channel::finish() {
  if (comm_) check(ncclCommFinalize(comm_), "closing");
}

bool Channel::closed() {
  if (!comm_) return true;
  if (busy()) return false;
  ncclCommDestroy(comm_);
  comm_ = nullptr;
  return true;
}

}  // namespace cornstarch::comm
