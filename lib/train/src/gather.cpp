#include "gather.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "cornstarch/base/text.h"

namespace cornstarch::train {
namespace {

/// Behind the tags of the seams, so that weights never meet activations.
int weights_tag(const plan::Plan& plan) { return 2 * static_cast<int>(plan.seams.size()); }

catalog::Shape shard_shape(const catalog::ParamSpec& spec, int tp, int rank) {
  catalog::Shape shape = spec.shape;
  if (spec.split.dim < 0) return shape;
  auto& size = shape[static_cast<std::size_t>(spec.split.dim)];
  size = share(size / spec.split.unit, tp, rank).size() * spec.split.unit;
  return shape;
}

const models::Parameter& find(std::vector<models::Parameter>& parameters, const std::string& name) {
  for (const models::Parameter& p : parameters)
    if (p.spec->name == name) return p;
  throw Failure(ExitCode::internal, cat("no parameter '", name, "' in this stage"));
}

bool holds_stage(const plan::RankPlan& rank, int stage) {
  return std::any_of(rank.parts.begin(), rank.parts.end(),
                     [stage](const plan::Part& part) { return part.stage == stage; });
}

}  // namespace

std::optional<std::vector<models::NamedTensor>> gather_modality(const plan::Plan& plan,
                                                                const catalog::Modalities& modalities,
                                                                comm::Communicator& comm,
                                                                pipeline::Executor& executor, int modality,
                                                                at::TensorOptions options) {
  const plan::ModalityPlan& where = plan.modalities[static_cast<std::size_t>(modality)];
  const auto& spec = modalities[static_cast<std::size_t>(modality)].spec;
  const int writer = plan.rank_of(0, where.first_stage, 0, 0);
  const int me = comm.rank();
  std::vector<models::NamedTensor> whole;
  std::vector<comm::WorkPtr> sends;
  for (int s = where.first_stage; s < where.first_stage + where.num_stages; ++s) {
    for (const int m : plan.stages[static_cast<std::size_t>(s)].modules) {
      const bool holds = holds_stage(plan.ranks[static_cast<std::size_t>(me)], s);
      if (holds) executor.hold(s, m);
      for (const catalog::ParamSpec& param : spec.modules[static_cast<std::size_t>(m)].params) {
        if (!param.tied_to.empty()) continue;
        std::vector<at::Tensor> shards;
        const int holders = param.split.dim < 0 ? 1 : where.tp;
        for (int t = 0; t < holders; ++t) {
          const int holder = plan.rank_of(0, s, 0, t);
          if (holder == me) {
            const at::Tensor value =
                find(executor.stage_parameters(s), param.name).value.detach().contiguous();
            if (me == writer) shards.push_back(value.cpu());
            if (me != writer) sends.push_back(comm.send(value, writer, weights_tag(plan), param.name));
          } else if (me == writer) {
            const at::Tensor shard = at::empty(shard_shape(param, where.tp, t), options);
            comm.receive(shard, holder, weights_tag(plan), param.name)->wait();
            shards.push_back(shard.cpu());
          }
        }
        if (me == writer)
          whole.push_back(
              {param.name, holders == 1 ? shards.front().clone() : at::cat(shards, param.split.dim)});
      }
      for (const comm::WorkPtr& send : sends) send->wait();
      sends.clear();
      if (holds) executor.drop(s, m);
    }
  }
  comm.check();
  if (me != writer) return std::nullopt;
  return whole;
}

}  // namespace cornstarch::train
