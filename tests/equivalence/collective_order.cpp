#include "collective_order.h"

#include <algorithm>

#include "cornstarch/base/text.h"

namespace cornstarch::test {

class CollectiveOrder::WatchedGroup final : public comm::Group {
 public:
  WatchedGroup(comm::GroupPtr group, std::string name, std::vector<Begun>& begun)
      : group_(std::move(group)), name_(std::move(name)), begun_(begun) {}

  int rank() const override { return group_->rank(); }
  int size() const override { return group_->size(); }
  const std::vector<int>& ranks() const override { return group_->ranks(); }
  comm::WorkPtr start_all_reduce(const at::Tensor& tensor, comm::Reduce op) override {
    note("all_reduce");
    return group_->start_all_reduce(tensor, op);
  }
  comm::WorkPtr start_broadcast(const at::Tensor& tensor, int root) override {
    note("broadcast");
    return group_->start_broadcast(tensor, root);
  }
  comm::WorkPtr start_all_gather(const at::Tensor& out, const at::Tensor& in) override {
    note("all_gather");
    return group_->start_all_gather(out, in);
  }
  comm::WorkPtr start_reduce_scatter(const at::Tensor& out, const at::Tensor& in) override {
    note("reduce_scatter");
    return group_->start_reduce_scatter(out, in);
  }

 private:
  void note(const char* what) { begun_.push_back({ranks(), cat(what, " over ", name_)}); }

  comm::GroupPtr group_;
  std::string name_;
  std::vector<Begun>& begun_;
};

class CollectiveOrder::WatchedCommunicator final : public comm::Communicator {
 public:
  WatchedCommunicator(comm::CommunicatorPtr comm, Seen& seen) : comm_(std::move(comm)), seen_(seen) {}

  int rank() const override { return comm_->rank(); }
  int size() const override { return comm_->size(); }
  comm::GroupPtr group(const std::vector<int>& ranks, const std::string& name) override {
    seen_.groups.insert({name, ranks});
    return std::make_shared<WatchedGroup>(comm_->group(ranks, name), name, seen_.begun);
  }
  comm::WorkPtr send(const at::Tensor& tensor, int to, comm::Lane lane, const std::string& what) override {
    return comm_->send(tensor, to, lane, what);
  }
  comm::WorkPtr receive(const at::Tensor& tensor, int from, comm::Lane lane,
                        const std::string& what) override {
    return comm_->receive(tensor, from, lane, what);
  }
  void abort(const Error& error) override { comm_->abort(error); }
  void at(int step, const std::string& phase) override { comm_->at(step, phase); }
  void on_failure(std::function<void(const std::string&)> report) override {
    comm_->on_failure(std::move(report));
  }
  Traffic traffic() const override { return comm_->traffic(); }

 private:
  comm::CommunicatorPtr comm_;
  Seen& seen_;
};

comm::CommunicatorPtr CollectiveOrder::watched(const comm::CommunicatorPtr& comm) {
  return std::make_shared<WatchedCommunicator>(comm, seen_.at(static_cast<std::size_t>(comm->rank())));
}

std::vector<CollectiveOrder::Begun> CollectiveOrder::in_common(std::size_t rank, int other) const {
  std::vector<Begun> out;
  for (const Begun& begun : seen_[rank].begun)
    if (std::ranges::binary_search(begun.ranks, other)) out.push_back(begun);
  return out;
}

std::vector<std::string> CollectiveOrder::conflicts() const {
  std::vector<std::string> out;
  for (std::size_t a = 0; a < seen_.size(); ++a)
    for (std::size_t b = a + 1; b < seen_.size(); ++b) {
      const auto here = in_common(a, static_cast<int>(b)), there = in_common(b, static_cast<int>(a));
      const auto [x, y] = std::ranges::mismatch(here, there);
      if (x == here.end() && y == there.end()) continue;
      out.push_back(cat("collective ", x - here.begin(), " that ranks ", a, " and ", b,
                        " have in common is '", x == here.end() ? "" : x->what, "' on ", a, " and '",
                        y == there.end() ? "" : y->what, "' on ", b));
    }
  return out;
}

std::vector<std::string> CollectiveOrder::unplanned(const plan::Plan& plan) const {
  std::vector<std::string> out;
  for (std::size_t rank = 0; rank < seen_.size(); ++rank) {
    decltype(Seen::groups) planned;
    for (const plan::Group& group : plan.groups)
      if (std::ranges::binary_search(group.ranks, static_cast<int>(rank)))
        planned.insert({plan.group_name(group), group.ranks});
    if (planned != seen_[rank].groups)
      out.push_back(cat("rank ", rank, " makes other groups than the plan's"));
  }
  return out;
}

}  // namespace cornstarch::test
