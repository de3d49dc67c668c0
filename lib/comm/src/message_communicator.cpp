#include <ATen/core/Tensor.h>

#include <exception>
#include <map>

#include "cornstarch/base/text.h"
#include "describe.h"
#include "message_engine.h"
#include "solo.h"

namespace cornstarch::comm {
namespace {

constexpr auto kLane = MpiTransport::Lane::messages;

/// One send or receive.
class Message final : public Exchange {
 public:
  Message(std::shared_ptr<Engine> engine, const at::Tensor& tensor, int peer, int tag,
          const std::string& what, bool sends)
      : Exchange(std::move(engine)),
        requests_(engine_->transport()),
        tensor_(tensor),
        peer_(peer),
        tag_(tag),
        what_(what),
        sends_(sends) {
    if (sends) {
      requests_.send(tensor.const_data_ptr(), tensor.nbytes(), peer, tag, kLane);
    } else {
      requests_.receive(tensor.data_ptr(), tensor.nbytes(), peer, tag, kLane);
    }
  }

  std::string describe() const override {
    return cat(sends_ ? "send" : "receive", " of '", what_, "' (", comm::describe(tensor_), "), tag ", tag_);
  }

 private:
  bool advance() override {
    return requests_.complete([this] { return describe(); });
  }
  std::vector<int> waits_for() const override { return {peer_}; }

  Requests requests_;
  at::Tensor tensor_;
  int peer_;
  int tag_;
  std::string what_;
  bool sends_;
};

class EngineCommunicator final : public Communicator {
 public:
  explicit EngineCommunicator(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}
  ~EngineCommunicator() override { engine_->close(std::uncaught_exceptions() > exceptions_); }

  int rank() const override { return engine_->transport().rank(); }
  int size() const override { return engine_->transport().size(); }
  Traffic traffic() const override { return engine_->traffic(); }
  std::string backend() const override { return engine_->transport().library(); }
  void abort(const Error& error) override { engine_->board().fail(error.code, error.message); }
  void at(int step, const std::string& phase) override { engine_->board().ledger().at(step, phase); }
  void on_failure(std::function<void(const std::string&)> report) override {
    engine_->board().on_failure(std::move(report));
  }

  void check() override { engine_->check(); }

  GroupPtr group(const std::vector<int>& ranks, const std::string& name) override {
    const int group_rank = require_group_ranks(ranks, rank(), size(), name);
    if (ranks.size() == 1) return solo_group(rank());
    std::vector<int> tags;
    for (const int other : ranks) tags.push_back(other == rank() ? 0 : groups_shared_with_[other]++);
    return message_group(engine_, ranks, std::move(tags), group_rank, name);
  }

  WorkPtr send(const at::Tensor& tensor, int to, Lane lane, const std::string& what) override {
    require_plain(tensor, "send");
    const int tag = tag_of(to, lane, what);
    ++engine_->traffic().messages;
    engine_->traffic().bytes += static_cast<long long>(tensor.nbytes());
    return start(tensor, to, tag, what, true);
  }

  WorkPtr receive(const at::Tensor& tensor, int from, Lane lane, const std::string& what) override {
    require_plain(tensor, "receive");
    return start(tensor, from, tag_of(from, lane, what), what, false);
  }

 private:
  WorkPtr start(const at::Tensor& tensor, int peer, int tag, const std::string& what, bool sends) {
    const auto [place, is_new] = ledger_.try_emplace({peer, sends}, -1);
    control::Ledger& ledger = engine_->board().ledger();
    if (is_new)
      place->second =
          ledger.add(cat("messages ", sends ? "to" : "from", " rank ", peer), {rank(), peer}, false);
    auto message = std::make_shared<Message>(engine_, tensor, peer, tag, what, sends);
    ledger.begin(place->second, message->describe());
    engine_->start(message);
    return message;
  }

  int tag_of(int peer, Lane lane, const std::string& what) const {
    if (peer < 0 || peer >= size())
      throw Failure(ExitCode::internal, cat("message '", what, "': no rank ", peer));
    const int tag = static_cast<int>(lane), max_tag = engine_->transport().max_tag();
    if (tag >= 0 && tag <= max_tag) return tag;
    throw Failure(ExitCode::internal,
                  cat("message '", what, "': tag ", tag, " is not within 0 and ", max_tag));
  }

  std::shared_ptr<Engine> engine_;
  std::map<int, int> groups_shared_with_;
  std::map<std::pair<int, bool>, int> ledger_;  ///< where messages to or from a rank are noted
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace

CommunicatorPtr engine_communicator(std::shared_ptr<Engine> engine) {
  return std::make_shared<EngineCommunicator>(std::move(engine));
}

}  // namespace cornstarch::comm
