#include <c10/core/Event.h>

#include <exception>
#include <map>

#include "cornstarch/base/text.h"
#include "cornstarch/comm/nccl.h"
#include "describe.h"
#include "nccl_hub.h"
#include "solo.h"

namespace cornstarch::comm {
namespace {

/// Messages wait for each other beside the computation, which needs the multiprocessors more.
constexpr int kMessageCtas = 4;

class NcclCommunicator final : public Communicator {
 public:
  explicit NcclCommunicator(std::shared_ptr<NcclHub> hub) : hub_(std::move(hub)) {}
  ~NcclCommunicator() override { hub_->close(std::uncaught_exceptions() > exceptions_); }

  int rank() const override { return hub_->rank(); }
  int size() const override { return hub_->size(); }
  Traffic traffic() const override { return hub_->traffic(); }
  std::string backend() const override {
    int version = 0;
    ncclGetVersion(&version);
    return cat("NCCL ", version / 10000, ".", version / 100 % 100, ".", version % 100);
  }
  void abort(const Error& error) override { hub_->board().fail(error.code, error.message); }
  void at(int step, const std::string& phase) override { hub_->board().ledger().at(step, phase); }
  void on_failure(std::function<void(const std::string&)> report) override {
    hub_->board().on_failure(std::move(report));
  }
  void check() override { hub_->check(); }
  void settle() override { hub_->settle(); }
  void time_transfers(bool on) override { hub_->time_transfers(on); }
  std::vector<Transfer> take_transfers(const c10::Event& zero) override {
    return hub_->take_transfers(static_cast<cudaEvent_t>(zero.eventId()));
  }

  GroupPtr group(const std::vector<int>& ranks, const std::string& name) override {
    const int group_rank = require_group_ranks(ranks, rank(), size(), name);
    if (ranks.size() == 1) return solo_group(rank());
    return nccl_group(hub_, ranks, group_rank, created_[ranks]++, name);
  }

  WorkPtr send(const at::Tensor& tensor, int to, Lane lane, const std::string& what) override {
    require_plain(tensor, "send", at::kCUDA);
    require_peer(to, what);
    ++hub_->traffic().messages;
    hub_->traffic().bytes += static_cast<long long>(tensor.nbytes());
    const void* data = tensor.const_data_ptr();
    return hub_->start(
        messages(rank(), to), "send", label(what, lane), {tensor},
        [=, bytes = tensor.nbytes()](ncclComm_t comm, cudaStream_t stream) {
          return ncclSend(data, bytes, ncclUint8, 1, comm, stream);
        },
        true);
  }

  WorkPtr receive(const at::Tensor& tensor, int from, Lane lane, const std::string& what) override {
    require_plain(tensor, "receive", at::kCUDA);
    require_peer(from, what);
    void* data = tensor.data_ptr();
    // It begins when it is waited for: a kernel that waits for a message that is not due yet would take the
    // place of others, and could hold up the very work that the sender waits for.
    return hub_->start(
        messages(from, rank()), "receive", label(what, lane), {tensor},
        [=, bytes = tensor.nbytes()](ncclComm_t comm, cudaStream_t stream) {
          return ncclRecv(data, bytes, ncclUint8, 0, comm, stream);
        },
        false);
  }

 private:
  static std::string label(const std::string& what, Lane lane) {
    return cat("'", what, "', tag ", static_cast<int>(lane));
  }

  /// The sender is rank 0 of the pair.
  Channel& messages(int from, int to) {
    const bool sends = from == rank();
    const std::string place = sends ? cat("to rank ", to) : cat("from rank ", from);
    return hub_->channel({cat("messages from ", from, " to ", to),
                          "messages " + place,
                          place,
                          {from, to},
                          sends ? 0 : 1,
                          false,
                          kMessageCtas});
  }

  void require_peer(int peer, const std::string& what) const {
    if (peer < 0 || peer >= size() || peer == rank())
      throw Failure(ExitCode::internal, cat("message '", what, "': no other rank ", peer));
  }

  std::shared_ptr<NcclHub> hub_;
  std::map<std::vector<int>, int> created_;  ///< groups so far, by their ranks
  int exceptions_ = std::uncaught_exceptions();
};

std::string version_text(int version) {
  return cat(version / 10000, ".", version % 10000 / 100, ".", version % 100);
}

Result<void> check_version() {
  int version = 0;
  ncclGetVersion(&version);
  if (version >= NCCL_VERSION_CODE && version / 10000 == NCCL_MAJOR) return {};
  return fail(ExitCode::launch,
              cat("the NCCL library that is loaded is ", version_text(version), ", but this build needs ",
                  version_text(NCCL_VERSION_CODE), " or newer"),
              "load the NCCL that cmake found (NCCL_ROOT), or build again with the one that is loaded");
}

}  // namespace

Result<CommunicatorPtr> connect_nccl(const launch::LaunchContext& launch, Deadline deadline) {
  if (const auto version = check_version(); !version) return tl::unexpected(version.error());
  const auto place = control::meeting(launch);
  if (!place) return tl::unexpected(place.error());
  auto board = control::FailureBoard::connect(*place, launch, board_options(deadline));
  if (!board) return tl::unexpected(board.error());
  return std::make_shared<NcclCommunicator>(
      std::make_shared<NcclHub>(launch.rank, launch.world_size, std::move(*board), deadline));
}

}  // namespace cornstarch::comm
