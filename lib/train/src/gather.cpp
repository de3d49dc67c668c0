#include "gather.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "cornstarch/catalog/shard.h"

namespace cornstarch::train {
namespace {

/// The stage of a modality that a rank holds a part of, or -1.
int stage_of(const plan::RankPlan& rank, int modality) {
  for (const plan::Part& part : rank.parts)
    if (part.modality == modality) return part.stage;
  return -1;
}

/// A parameter among a stage's, or the copy of it that a tied head there has; null if there is none.
const models::Parameter* find(std::vector<models::Parameter>& parameters, const std::string& name) {
  for (const models::Parameter& p : parameters)
    if (p.spec->name == name || p.spec->tied_to == name) return &p;
  return nullptr;
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
  const int mine = stage_of(plan.ranks[static_cast<std::size_t>(me)], modality);
  const auto own_shard = [&](const std::string& name) {
    const models::Parameter* p = mine < 0 ? nullptr : find(executor.stage_parameters(mine), name);
    if (p == nullptr) return at::Tensor();
    const bool rounded = p->value.scalar_type() == options.dtype();
    return (rounded ? p->value.detach() : executor.unrounded(mine, *p)).to(options).contiguous();
  };
  std::vector<models::NamedTensor> whole;
  std::vector<comm::WorkPtr> sends;
  for (int s = where.first_stage; s < where.first_stage + where.num_stages; ++s) {
    for (const int m : plan.stages[static_cast<std::size_t>(s)].modules) {
      if (s == mine) executor.hold(s, m);
      for (const catalog::ParamSpec& param : spec.modules[static_cast<std::size_t>(m)].params) {
        if (!param.tied_to.empty()) continue;
        const at::Tensor own = own_shard(param.name);
        std::vector<at::Tensor> shards;
        const int holders = param.split.dim < 0 ? 1 : where.tp;
        for (int t = 0; t < holders; ++t) {
          const int holder = plan.rank_of(0, s, 0, t);
          if (holder == me && me == writer) shards.push_back(own.cpu());
          if (holder == me && me != writer)
            sends.push_back(comm.send(own, writer, comm::Lane::weights, param.name));
          if (holder == me || me != writer) continue;
          const at::Tensor shard = at::empty(catalog::shard_shape(param, where.tp, t), options);
          comm.receive(shard, holder, comm::Lane::weights, param.name)->wait();
          shards.push_back(shard.cpu());
        }
        if (me == writer)
          whole.push_back(
              {param.name, holders == 1 ? shards.front().clone() : at::cat(shards, param.split.dim)});
      }
      for (const comm::WorkPtr& send : sends) send->wait();
      sends.clear();
      if (s == mine) executor.drop(s, m);
    }
  }
  comm.check();
  if (me != writer) return std::nullopt;
  return whole;
}

}  // namespace cornstarch::train
