#include "nccl_channel.h"

#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <thread>

#include "cornstarch/base/text.h"
#include "describe.h"

namespace cornstarch::comm {
namespace {

/// How long a caller waits for a launch itself, before the watching thread takes over.
constexpr std::chrono::microseconds kLaunch{300};

}  // namespace

void check_cuda(cudaError_t error, const char* call) {
  if (error != cudaSuccess) throw Failure(ExitCode::device, cat(call, ": ", cudaGetErrorString(error)));
}

EventPool::~EventPool() {
  for (const cudaEvent_t event : free_) cudaEventDestroy(event);
}

cudaEvent_t EventPool::take() {
  cudaEvent_t event = nullptr;
  if (free_.empty()) {
    check_cuda(cudaEventCreateWithFlags(&event, flags_), "cudaEventCreate");
  } else {
    event = free_.back();
    free_.pop_back();
  }
  return event;
}

std::int64_t NcclOperation::bytes() const {
  std::size_t most = 0;
  for (const at::Tensor& tensor : tensors) most = std::max(most, tensor.nbytes());
  return static_cast<std::int64_t>(most);
}

std::string NcclOperation::describe() const {
  return cat(verb, " (", tensors.empty() ? "" : comm::describe(tensors.front()), ") ", label);
}

Channel::Channel(control::FailureBoard& board, EventPools& events, Route route)
    : board_(board),
      events_(events),
      route_(std::move(route)),
      noted_(board.ledger().add(route_.name, route_.ranks, route_.collective)) {
  route_.name = board.ledger().name(noted_);
  int least = 0, greatest = 0;
  check_cuda(cudaDeviceGetStreamPriorityRange(&least, &greatest), "cudaDeviceGetStreamPriorityRange");
  // What others wait for goes before what only this rank computes.
  check_cuda(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, greatest), "cudaStreamCreate");
}

Channel::~Channel() {
  abort();
  cudaStreamDestroy(stream_);
}

void Channel::post(const NcclOperationPtr& operation) {
  operation->ready = events_.plain.take();
  check_cuda(cudaEventRecord(operation->ready, c10::cuda::getCurrentCUDAStream()), "cudaEventRecord");
  waiting_.push_back(operation);
}

void Channel::note(control::Ledger& ledger, NcclOperation& operation) {
  operation.index = posted_++;
  std::string what = cat(operation.verb, " (", comm::describe(operation.tensors.front()), ")");
  if (!route_.collective) what += cat(" ", operation.label);
  ledger.begin(noted_, std::move(what));
}

control::Wait Channel::wait_for(const NcclOperation& operation) const {
  return {others(), operation.describe(), route_.collective ? route_.name : "", operation.index, 0};
}

void Channel::release(const NcclOperation& operation) {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](const NcclOperationPtr& each) { return each.get() == &operation; });
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
    if (route_.own == 0) {
      check(ncclGetUniqueId(&id), "ncclGetUniqueId");
      board_.publish(route_.key, std::string(id.internal, sizeof id.internal));
    } else {
      const auto found = board_.find(route_.key);
      if (!found) return false;
      std::memcpy(id.internal, found->data(), std::min(found->size(), sizeof id.internal));
    }
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    if (route_.max_ctas > 0) config.maxCTAs = route_.max_ctas;
    check(ncclCommInitRankConfig(&comm_, static_cast<int>(route_.ranks.size()), id, route_.own, &config),
          connecting());
  }
  connected_ = !busy();
  return connected_;
}

bool Channel::busy() {
  ncclResult_t state = ncclSuccess;
  check(ncclCommGetAsyncError(comm_, &state), "ncclCommGetAsyncError");
  if (state == ncclSuccess || state == ncclInProgress) return state == ncclInProgress;
  const NcclOperation* operation = oldest();
  check(state, operation ? operation->describe() : connected_ ? cat("'", route_.name, "'") : connecting());
  return false;
}

std::string Channel::connecting() const { return cat("connecting '", route_.name, "'"); }

void Channel::check(ncclResult_t result, const std::string& what) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  throw Failure(ExitCode::device, cat(what, " with ", describe_ranks(others()), ": NCCL: ",
                                      ncclGetErrorString(result), ": ", one_line(ncclGetLastError(comm_))));
}

/// The launch is complete: the event comes behind its kernel.
void Channel::settle() {
  launching_->done = (launching_->timed ? events_.timed : events_.plain).take();
  check_cuda(cudaEventRecord(launching_->done, stream_), "cudaEventRecord");
  launching_->state = NcclOperation::State::running;
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
    launch(*launching_);
    if (still_launching()) return false;
    settle();
  }
  return !busy();  // an error may come later
}

void Channel::launch(NcclOperation& operation) {
  check_cuda(cudaStreamWaitEvent(stream_, operation.ready), "cudaStreamWaitEvent");
  if (operation.timed) {
    operation.begin = events_.timed.take();
    check_cuda(cudaEventRecord(operation.begin, stream_), "cudaEventRecord");
  }
  check(operation.launch(comm_, stream_), operation.describe());
}

/// NCCL launches each kernel in a thread that it makes for it: tens of microseconds, but for the first
/// between two ranks.
bool Channel::still_launching() {
  for (const auto end = std::chrono::steady_clock::now() + kLaunch; busy(); std::this_thread::yield())
    if (std::chrono::steady_clock::now() > end) return true;
  return false;
}

void Channel::reap() {
  while (!running_.empty()) {
    if (cudaEventQuery(running_.front()->done) != cudaSuccess) {
      (void)cudaGetLastError();  // "not ready" is no error
      return;
    }
    NcclOperation& operation = *running_.front();
    operation.state = NcclOperation::State::complete;
    events_.plain.give(operation.ready);
    if (operation.timed) {
      timed_.push_back(
          {cat(operation.verb, " ", route_.place), operation.bytes(), operation.begin, operation.done});
    } else {
      events_.plain.give(operation.done);
    }
    std::move(operation.tensors.begin(), operation.tensors.end(), std::back_inserter(spent_));
    operation.tensors.clear();
    operation.launch = nullptr;
    running_.pop_front();
  }
}

void Channel::take_transfers(cudaEvent_t zero, std::vector<Transfer>& to) {
  const auto since_zero = [&](cudaEvent_t event) {
    float ms = 0;
    check_cuda(cudaEventElapsedTime(&ms, zero, event), "cudaEventElapsedTime");
    events_.timed.give(event);
    return static_cast<double>(ms) / 1e3;
  };
  for (const Timed& t : timed_) to.push_back({t.name, t.bytes, since_zero(t.begin), since_zero(t.end)});
  timed_.clear();
}

const NcclOperation* Channel::oldest() const {
  if (!running_.empty()) return running_.front().get();
  if (launching_) return launching_.get();
  return released_ > 0 ? waiting_.front().get() : nullptr;
}

std::vector<int> Channel::others() const {
  std::vector<int> out = route_.ranks;
  out.erase(out.begin() + route_.own);
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
