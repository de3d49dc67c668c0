#include <ATen/ops/zeros.h>

#include "cornstarch/base/text.h"
#include "describe.h"
#include "nccl_hub.h"
#include "solo.h"

namespace cornstarch::comm {
namespace {

ncclDataType_t type_of(const at::Tensor& tensor, const char* operation) {
  switch (tensor.scalar_type()) {
    case at::kDouble:
      return ncclFloat64;
    case at::kFloat:
      return ncclFloat32;
    case at::kHalf:
      return ncclFloat16;
    case at::kBFloat16:
      return ncclBfloat16;
    case at::kLong:
      return ncclInt64;
    case at::kInt:
      return ncclInt32;
    case at::kByte:
      return ncclUint8;
    default:
      throw Failure(ExitCode::internal,
                    cat(operation, ": NCCL cannot reduce ", dtype_name(tensor.scalar_type())));
  }
}

std::size_t count_of(const at::Tensor& tensor) { return static_cast<std::size_t>(tensor.numel()); }

class NcclGroup final : public Group {
 public:
  NcclGroup(std::shared_ptr<NcclHub> hub, std::vector<int> ranks, int group_rank, int nth, std::string name)
      : hub_(std::move(hub)), ranks_(std::move(ranks)), group_rank_(group_rank), name_(std::move(name)) {
    key_ = cat("group #", nth, " of");
    for (const int rank : ranks_) key_ += cat(" ", rank);
  }

  int rank() const override { return group_rank_; }
  int size() const override { return static_cast<int>(ranks_.size()); }
  const std::vector<int>& ranks() const override { return ranks_; }

  WorkPtr start_all_reduce(const at::Tensor& tensor, Reduce op) override {
    const char* verb = op == Reduce::sum ? "all_reduce sum" : "all_reduce max";
    require_plain(tensor, verb, at::kCUDA);
    const auto type = type_of(tensor, verb);
    const auto reduce = op == Reduce::sum ? ncclSum : ncclMax;
    void* data = tensor.data_ptr();
    return start(verb, {tensor}, [=, count = count_of(tensor)](ncclComm_t comm, cudaStream_t stream) {
      return ncclAllReduce(data, data, count, type, reduce, comm, stream);
    });
  }

  WorkPtr start_broadcast(const at::Tensor& tensor, int root) override {
    require_plain(tensor, "broadcast", at::kCUDA);
    require_member(root, size(), name_);
    void* data = tensor.data_ptr();
    return start("broadcast", {tensor}, [=, bytes = tensor.nbytes()](ncclComm_t comm, cudaStream_t stream) {
      return ncclBroadcast(data, data, bytes, ncclUint8, root, comm, stream);
    });
  }

  WorkPtr start_all_gather(const at::Tensor& out, const at::Tensor& in) override {
    require_parts(out, in, size(), "all_gather", at::kCUDA);
    void* to = out.data_ptr();
    const void* from = in.const_data_ptr();
    return start("all_gather", {in, out}, [=, bytes = in.nbytes()](ncclComm_t comm, cudaStream_t stream) {
      return ncclAllGather(from, to, bytes, ncclUint8, comm, stream);
    });
  }

  WorkPtr start_reduce_scatter(const at::Tensor& out, const at::Tensor& in) override {
    require_parts(in, out, size(), "reduce_scatter", at::kCUDA);
    const auto type = type_of(in, "reduce_scatter");
    void* to = out.data_ptr();
    const void* from = in.const_data_ptr();
    return start("reduce_scatter", {in, out},
                 [=, count = count_of(out)](ncclComm_t comm, cudaStream_t stream) {
                   return ncclReduceScatter(from, to, count, type, ncclSum, comm, stream);
                 });
  }

  void barrier() override {
    const at::Tensor token = at::zeros({1}, at::TensorOptions(at::kCUDA).dtype(at::kByte));
    start_all_reduce(token, Reduce::max)->wait();
    token.cpu();
  }

 private:
  WorkPtr start(const char* verb, std::vector<at::Tensor> tensors,
                std::function<ncclResult_t(ncclComm_t, cudaStream_t)> launch) {
    if (!channel_) channel_ = &hub_->channel({key_, name_, "over " + name_, ranks_, group_rank_});
    ++hub_->traffic().collectives;
    hub_->traffic().collective_bytes += static_cast<long long>(tensors.front().nbytes());
    return hub_->start(*channel_, verb, cat("as #", calls_++, " of '", channel_->name(), "'"),
                       std::move(tensors), std::move(launch), true);
  }

  std::shared_ptr<NcclHub> hub_;
  std::vector<int> ranks_;
  int group_rank_;
  std::string name_;
  std::string key_;
  Channel* channel_ = nullptr;
  long long calls_ = 0;
};

}  // namespace

GroupPtr nccl_group(std::shared_ptr<NcclHub> hub, std::vector<int> ranks, int group_rank, int nth,
                    const std::string& name) {
  return std::make_shared<NcclGroup>(std::move(hub), std::move(ranks), group_rank, nth, name);
}

}  // namespace cornstarch::comm
