#include "nccl_hub.h"

#include <c10/cuda/CUDAStream.h>

#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "describe.h"

namespace cornstarch::comm {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kWatch{50};
constexpr milliseconds kUnsettled{1};
constexpr milliseconds kClose{10'000};
/// Operations that take less are not waited for, as the ledger sees it.
constexpr milliseconds kNoted{100};
/// NCCL may notice a rank's death before the board does, whose word names it.
constexpr milliseconds kBoardFirst{1'000};

class NcclWork final : public Work {
 public:
  NcclWork(std::shared_ptr<NcclHub> hub, Channel& channel, NcclOperationPtr operation)
      : hub_(std::move(hub)), channel_(channel), operation_(std::move(operation)) {}
  void wait() override { hub_->wait(channel_, *operation_); }
  bool done() override { return hub_->done(channel_, *operation_); }
  void begin() override { hub_->begin(channel_, *operation_); }

 private:
  std::shared_ptr<NcclHub> hub_;
  Channel& channel_;
  NcclOperationPtr operation_;
};

}  // namespace

NcclHub::NcclHub(int rank, int size, std::unique_ptr<control::FailureBoard> board, Deadline deadline)
    : rank_(rank), size_(size), board_(std::move(board)), deadline_(deadline) {}

NcclHub::~NcclHub() {
  stop_watching();
  abort_all();
}

void NcclHub::stop_watching() {
  {
    const Lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

Channel& NcclHub::channel(Route route) {
  const Lock lock(mutex_);
  if (device_ < 0) {
    check_cuda(cudaGetDevice(&device_), "cudaGetDevice");
    watcher_ = std::thread([this] { watch(); });
  }
  auto& channel = channels_[route.key];
  if (!channel) channel = std::make_unique<Channel>(*board_, events_, std::move(route));
  return *channel;
}

WorkPtr NcclHub::start(Channel& channel, const char* verb, std::string label, std::vector<at::Tensor> tensors,
                       std::function<ncclResult_t(ncclComm_t, cudaStream_t)> launch, bool at_once) {
  const auto operation = std::make_shared<NcclOperation>();
  operation->verb = verb;
  operation->label = std::move(label);
  operation->tensors = std::move(tensors);
  operation->launch = std::move(launch);
  const Lock lock(mutex_);
  throw_if_failed();
  operation->timed = timing_;
  channel.reap();
  channel.forget();
  channel.post(operation);
  channel.note(board_->ledger(), *operation);
  if (at_once) channel.release(*operation);
  advance(channel);
  return std::make_shared<NcclWork>(shared_from_this(), channel, operation);
}

void NcclHub::wait(Channel& channel, NcclOperation& operation) {
  Lock lock(mutex_);
  channel.release(operation);
  while (true) {
    throw_if_failed();
    advance(channel);
    if (operation.state != NcclOperation::State::posted) break;
    changed_.wait_for(lock, kUnsettled);
  }
  if (operation.state == NcclOperation::State::complete) return;
  check_cuda(cudaStreamWaitEvent(c10::cuda::getCurrentCUDAStream(), operation.done), "cudaStreamWaitEvent");
}

void NcclHub::begin(Channel& channel, const NcclOperation& operation) {
  const Lock lock(mutex_);
  throw_if_failed();
  channel.release(operation);
  advance(channel);
}

bool NcclHub::done(Channel& channel, NcclOperation& operation) {
  const Lock lock(mutex_);
  if (board_->failed()) return true;
  advance(channel);
  channel.reap();
  channel.forget();
  return operation.state == NcclOperation::State::complete;
}

void NcclHub::check() {
  const Lock lock(mutex_);
  throw_if_failed();
}

void NcclHub::settle() {
  Lock lock(mutex_);
  for (auto& [_, channel] : channels_) {
    while (!channel->launched()) {
      throw_if_failed();
      advance(*channel);
      if (!channel->launched()) changed_.wait_for(lock, kUnsettled);
    }
  }
}

void NcclHub::time_transfers(bool on) {
  const Lock lock(mutex_);
  timing_ = on;
}

std::vector<Transfer> NcclHub::take_transfers(cudaEvent_t zero) {
  const Lock lock(mutex_);
  std::vector<Transfer> transfers;
  for (auto& [_, channel] : channels_) {
    channel->reap();
    channel->take_transfers(zero, transfers);
  }
  return transfers;
}

/// In the thread of a caller, whose failure it is.
void NcclHub::advance(Channel& channel) {
  try {
    if (!channel.advance()) changed_.notify_all();
  } catch (const Failure&) {
    hear_board_first();
    throw_if_failed();
    throw;
  }
}

void NcclHub::hear_board_first() const {
  for (const auto end = Clock::now() + kBoardFirst; Clock::now() < end && !board_->failed();)
    std::this_thread::sleep_for(kUnsettled);
}

void NcclHub::throw_if_failed() {
  if (error_) throw Failure(*error_);
  if (!board_->failed()) return;
  board_->let_it_end_first();
  throw_failure(*board_->failure(), rank_);
}

void NcclHub::watch() {
  log::set_rank(rank_);
  check_cuda(cudaSetDevice(device_), "cudaSetDevice");
  Lock lock(mutex_);
  while (!stopping_) {
    if (board_->failed()) return abort_all();
    bool settled = false;
    try {
      settled = advance_all();
    } catch (const Failure& failure) {
      lock.unlock();
      stop(failure.error());
      lock.lock();
      continue;
    }
    if (const auto wait = longest_wait()) {
      const control::Complaint complaint{
          rank_, *wait,
          cat("rank ", rank_, " waited ", describe_duration(deadline_.per_operation), " for ",
              describe_ranks(wait->ranks), ": ", wait->op)};
      lock.unlock();
      board_->complain(complaint);
      lock.lock();
      continue;
    }
    changed_.wait_for(lock, settled ? kWatch : kUnsettled);
  }
}

void NcclHub::abort_all() {
  ncclGroupStart();
  for (auto& [_, channel] : channels_) channel->abort();
  ncclGroupEnd();
}

bool NcclHub::advance_all() {
  bool settled = true;
  for (auto& [_, channel] : channels_) {
    settled = channel->advance() && settled;
    channel->reap();
  }
  return settled;
}

/// Tells the ledger what the GPU waits for; returns it if that is longer than the deadline.
std::optional<control::Wait> NcclHub::longest_wait() {
  std::optional<control::Wait> longest;
  Clock::time_point since;
  for (const auto& [_, channel] : channels_) {
    const NcclOperation* oldest = channel->oldest();
    if (!oldest || (longest && oldest->released >= since)) continue;
    since = oldest->released;
    longest = channel->wait_for(*oldest);
  }
  if (!longest || Clock::now() - since < kNoted) {
    board_->ledger().done();
    return std::nullopt;
  }
  longest->seconds = std::chrono::duration<double>(Clock::now() - since).count();
  board_->ledger().waits([wait = *longest] { return wait; });
  return Clock::now() - since < deadline_.per_operation ? std::nullopt : longest;
}

/// The watching thread came upon a failure: the others hear of it, unless it is another rank's that they know
/// of.
void NcclHub::stop(const Error& error) {
  hear_board_first();
  if (board_->failed()) return;
  {
    const Lock lock(mutex_);
    error_ = error;
  }
  board_->fail(error.code, error.message);
}

void NcclHub::drain() {
  Lock lock(mutex_);
  for (auto& [_, channel] : channels_) channel->release_all();
  while (true) {
    throw_if_failed();
    bool idle = true;
    for (auto& [_, channel] : channels_) {
      advance(*channel);
      channel->reap();
      channel->forget();
      idle = idle && channel->idle();
    }
    if (idle) return;
    changed_.wait_for(lock, kUnsettled);
  }
}

/// A rank may have sent what another will take much later, out of memory that ends with the communicator.
void NcclHub::meet_all() {
  board_->arrive();
  while (!board_->all_arrived()) {
    {
      const Lock lock(mutex_);
      throw_if_failed();
    }
    std::this_thread::sleep_for(kWatch);
  }
}

void NcclHub::finish_all() {
  const Lock lock(mutex_);
  const auto end = Clock::now() + kClose;
  try {
    for (auto& [_, channel] : channels_) channel->finish();
    for (auto& [_, channel] : channels_)
      while (!channel->closed() && Clock::now() < end) std::this_thread::sleep_for(kUnsettled);
  } catch (const Failure&) {
    // Nothing is under way any more: who has closed first may look like an error to the others. ~Channel
    // aborts.
  }
}

void NcclHub::close(bool unwinding) {
  if (unwinding) board_->fail(ExitCode::internal, "ended by an exception");
  try {
    if (!board_->failed()) {
      drain();
      meet_all();
    }
    stop_watching();
    if (!board_->failed()) finish_all();
  } catch (const Failure& failure) {
    log::error(failure.what());
    board_->fail(failure.error().code, failure.what());
  }
  if (!board_->failed()) board_->leave();
}

}  // namespace cornstarch::comm
