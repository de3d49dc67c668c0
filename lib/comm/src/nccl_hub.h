#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cornstarch/comm/communicator.h"
#include "cornstarch/control/board.h"
#include "nccl_channel.h"

namespace cornstarch::comm {

/// What one rank's groups and messages share: channels by key, and a thread that watches over them. It moves
/// on what is still connecting, and ends everything when a rank fails, NCCL reports an error or an operation
/// takes too long.
class NcclHub : public std::enable_shared_from_this<NcclHub> {
 public:
  NcclHub(int rank, int size, std::unique_ptr<control::FailureBoard> board, Deadline deadline);
  ~NcclHub();

  int rank() const { return rank_; }
  int size() const { return size_; }
  control::FailureBoard& board() { return *board_; }
  Communicator::Traffic& traffic() { return traffic_; }

  /// The channel of that key; made, and connecting, when it is first asked for.
  Channel& channel(Route route);

  /// Posts an operation; `at_once`: and lets it begin.
  WorkPtr start(Channel& channel, const char* verb, std::string label, std::vector<at::Tensor> tensors,
                std::function<ncclResult_t(ncclComm_t, cudaStream_t)> launch, bool at_once);
  /// Makes the current stream wait for the operation.
  void wait(Channel& channel, NcclOperation& operation);
  bool done(Channel& channel, NcclOperation& operation);
  void begin(Channel& channel, const NcclOperation& operation);
  void check();
  void settle();

  /// As those of the Communicator.
  void time_transfers(bool on);
  std::vector<Transfer> take_transfers(cudaEvent_t zero);

  /// The end of this rank's part, as Engine::close.
  void close(bool unwinding);

 private:
  using Lock = std::unique_lock<std::mutex>;

  void watch();
  bool advance_all();
  std::optional<control::Wait> longest_wait();
  void hear_board_first() const;
  void advance(Channel& channel);
  void throw_if_failed();
  void stop(const Error& error);
  void abort_all();
  void drain();
  void meet_all();
  void finish_all();
  void stop_watching();

  int rank_;
  int size_;
  std::unique_ptr<control::FailureBoard> board_;
  Deadline deadline_;
  Communicator::Traffic traffic_;
  int device_ = -1;
  EventPools events_;
  std::mutex mutex_;  ///< of all channels and of what follows
  std::condition_variable changed_;
  std::map<std::string, std::unique_ptr<Channel>> channels_;
  std::optional<Error> error_;  ///< that the watching thread came upon
  bool timing_ = false;
  bool stopping_ = false;
  std::thread watcher_;
};

/// nccl_group.cpp
GroupPtr nccl_group(std::shared_ptr<NcclHub> hub, std::vector<int> ranks, int group_rank, int nth,
                    const std::string& name);

}  // namespace cornstarch::comm
