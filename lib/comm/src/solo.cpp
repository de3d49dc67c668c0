#include "solo.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <functional>

#include "cornstarch/base/text.h"
#include "describe.h"

namespace cornstarch::comm {
namespace {

class FinishedWork final : public Work {
 public:
  void wait() override {}
  bool done() override { return true; }
};

void copy(const at::Tensor& out, const at::Tensor& in) {
  if (out.const_data_ptr() != in.const_data_ptr()) out.view({-1}).copy_(in.view({-1}));
}

class SoloGroup final : public Group {
 public:
  explicit SoloGroup(int world_rank) : ranks_{world_rank} {}
  int rank() const override { return 0; }
  int size() const override { return 1; }
  const std::vector<int>& ranks() const override { return ranks_; }

  WorkPtr start_all_reduce(const at::Tensor&, Reduce) override { return finished_work(); }
  WorkPtr start_broadcast(const at::Tensor&, int) override { return finished_work(); }
  WorkPtr start_all_gather(const at::Tensor& out, const at::Tensor& in) override {
    require_parts(out, in, 1, "all_gather", out.device().type());
    copy(out, in);
    return finished_work();
  }
  WorkPtr start_reduce_scatter(const at::Tensor& out, const at::Tensor& in) override {
    require_parts(in, out, 1, "reduce_scatter", in.device().type());
    copy(out, in);
    return finished_work();
  }

 private:
  std::vector<int> ranks_;
};

}  // namespace

WorkPtr finished_work() {
  static const WorkPtr work = std::make_shared<FinishedWork>();
  return work;
}

GroupPtr solo_group(int world_rank) { return std::make_shared<SoloGroup>(world_rank); }

int require_group_ranks(const std::vector<int>& ranks, int rank, int world_size, const std::string& name) {
  const bool ascending =
      std::adjacent_find(ranks.begin(), ranks.end(), std::greater_equal<>()) == ranks.end();
  const auto mine = std::find(ranks.begin(), ranks.end(), rank);
  if (ascending && mine != ranks.end() && ranks.front() >= 0 && ranks.back() < world_size) {
    return static_cast<int>(mine - ranks.begin());
  }
  throw Failure(ExitCode::internal,
                cat("group '", name, "' of ", describe_ranks(ranks), ": the ranks must ascend within ",
                    "a world of ", world_size, " and contain rank ", rank));
}

void require_member(int member, int size, const std::string& name) {
  if (member >= 0 && member < size) return;
  throw Failure(ExitCode::internal, cat("broadcast: no member ", member, " in '", name, "'"));
}

}  // namespace cornstarch::comm
