#include "cornstarch/plan/plan.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <set>

#include "cornstarch/base/text.h"
#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/catalog/shard.h"

namespace cornstarch::plan {
namespace {

using catalog::Modalities;
using catalog::Modality;

std::vector<int> all_modules(const Modality& modality) {
  std::vector<int> out(modality.spec.modules.size());
  std::iota(out.begin(), out.end(), 0);
  return out;
}

/// The modalities' sizes and their stages, numbered through; what the gradient needs is filled in later.
void add_modality(Plan& plan, const Modality& modality, int index, bool single, bool fp8) {
  ModalityPlan out;
  out.name = modality.name;
  if (!single) {
    out.tp = modality.tp;
    out.sp = modality.sp;
    out.mode = modality.mode;
    out.distribution = modality.distribution;
    out.tp_sequence_parallel = modality.tp_sequence_parallel;
  }
  out.checkpointing = modality.checkpointing;
  out.fp8 = fp8;
  out.first_stage = static_cast<int>(plan.stages.size());
  const auto stages = single ? std::vector<std::vector<int>>{all_modules(modality)} : modality.stages;
  out.num_stages = static_cast<int>(stages.size());
  for (int s = 0; s < out.num_stages; ++s) {
    StagePlan stage;
    stage.modality = index;
    stage.stage_in_modality = s;
    stage.modules = stages[static_cast<std::size_t>(s)];
    stage.trains = std::any_of(stage.modules.begin(), stage.modules.end(), [&](int m) {
      return catalog::trains(modality.spec.modules[static_cast<std::size_t>(m)]);
    });
    plan.stages.push_back(std::move(stage));
  }
  plan.modalities.push_back(std::move(out));
}

void add_seams(Plan& plan) {
  const int llm_first = plan.llm().first_stage;
  for (std::size_t m = 0; m < plan.modalities.size(); ++m) {
    const ModalityPlan& modality = plan.modalities[m];
    const int end = modality.first_stage + modality.num_stages;
    for (int s = modality.first_stage; s + 1 < end; ++s) plan.seams.push_back({s, s + 1, false});
    if (m + 1 < plan.modalities.size()) plan.seams.push_back({end - 1, llm_first, false});
  }
  // Stages are numbered in an order in which producers come first.
  for (int s = 0; s < static_cast<int>(plan.stages.size()); ++s) {
    StagePlan& stage = plan.stages[static_cast<std::size_t>(s)];
    for (Seam& seam : plan.seams) {
      if (seam.to != s) continue;
      seam.carries_grad = plan.stages[static_cast<std::size_t>(seam.from)].backward();
      stage.input_grad = stage.input_grad || seam.carries_grad;
    }
  }
}

int ranks_per_replica(const Plan& plan, bool single) {
  if (single) return 1;
  int n = 0;
  for (const ModalityPlan& m : plan.modalities) n += m.num_stages * m.tp * m.sp;
  return n;
}

/// Modalities and stages, before it is known how many replicas there are.
Plan replica_of(const config::RunConfig& config, const Modalities& modalities) {
  Plan plan;
  plan.layout = config.layout;
  const bool single = config.layout == config::Layout::single;
  for (std::size_t m = 0; m < modalities.size(); ++m)
    add_modality(plan, modalities[m], static_cast<int>(m), single, config::rounds_to_fp8(config.precision));
  plan.ranks_per_replica = ranks_per_replica(plan, single);
  return plan;
}

template <typename Visit>  // visit(stage, dp, cp, tp)
void for_each_place(const Plan& plan, Visit visit) {
  for (int s = 0; s < static_cast<int>(plan.stages.size()); ++s) {
    const ModalityPlan& m = plan.modality_of(s);
    for (int d = 0; d < plan.dp; ++d)
      for (int c = 0; c < m.sp; ++c)
        for (int t = 0; t < m.tp; ++t) visit(s, d, c, t);
  }
}

/// Stage by stage, then replica by replica, tp fastest; or every stage of a replica on one rank.
void number_ranks(Plan& plan, bool single) {
  plan.placement.resize(plan.stages.size());
  int next = 0;
  for_each_place(plan, [&](int s, int d, int, int) {
    plan.placement[static_cast<std::size_t>(s)].push_back(single ? d : next++);
  });
}

/// Who gets what a place sends over a seam: the same place within a modality; across modalities every cp rank
/// whose tp interval overlaps.
std::vector<int> receivers(const Plan& plan, const Seam& seam, int d, int c, int t) {
  const ModalityPlan& from = plan.modality_of(seam.from);
  const ModalityPlan& to = plan.modality_of(seam.to);
  if (&from == &to) return {plan.rank_of(d, seam.to, c, t)};
  std::vector<int> out;
  for (int consumer_cp = 0; consumer_cp < to.sp; ++consumer_cp)
    for (const Slice& slice : destinations(from.tp, t, to.tp))
      out.push_back(plan.rank_of(d, seam.to, consumer_cp, slice.peer_tp));
  return out;
}

void place_ranks(Plan& plan, int gpus_per_node) {
  plan.ranks.resize(static_cast<std::size_t>(plan.world_size));
  for (int r = 0; r < plan.world_size; ++r) {
    plan.ranks[static_cast<std::size_t>(r)].rank = r;
    plan.ranks[static_cast<std::size_t>(r)].node = r / gpus_per_node;
  }
  for_each_place(plan, [&](int s, int d, int c, int t) {
    RankPlan& rank = plan.ranks[static_cast<std::size_t>(plan.rank_of(d, s, c, t))];
    rank.dp = d;
    rank.parts.push_back({plan.stages[static_cast<std::size_t>(s)].modality, s, c, t});
  });
}

void connect_ranks(Plan& plan) {
  std::vector<std::set<int>> from(static_cast<std::size_t>(plan.world_size)), to(from);
  for (const Seam& seam : plan.seams) {
    for_each_place(plan, [&](int s, int d, int c, int t) {
      if (s != seam.from) return;
      const int sender = plan.rank_of(d, s, c, t);
      for (const int receiver : receivers(plan, seam, d, c, t)) {
        if (receiver == sender) continue;
        to[static_cast<std::size_t>(sender)].insert(receiver);
        from[static_cast<std::size_t>(receiver)].insert(sender);
      }
    });
  }
  for (std::size_t r = 0; r < plan.ranks.size(); ++r) {
    plan.ranks[r].receives_from.assign(from[r].begin(), from[r].end());
    plan.ranks[r].sends_to.assign(to[r].begin(), to[r].end());
  }
}

/// One group of each stage for each combination of the coordinates that `key` keeps.
template <typename Key>
void add_groups(Plan& plan, Purpose purpose, Key key) {
  std::map<std::array<int, 3>, std::vector<int>> groups;
  for_each_place(plan, [&](int s, int d, int c, int t) {
    const auto [x, y] = key(d, c, t);
    groups[{s, x, y}].push_back(plan.rank_of(d, s, c, t));
  });
  for (auto& [of, ranks] : groups) {
    std::sort(ranks.begin(), ranks.end());
    plan.groups.push_back({purpose, of[0], std::move(ranks)});
  }
}

bool shares_gradients_over_tp(const ModalityPlan& where, const Modality& modality, const StagePlan& stage) {
  return std::any_of(stage.modules.begin(), stage.modules.end(), [&](int m) {
    const catalog::ModuleSpec& module = modality.spec.modules[static_cast<std::size_t>(m)];
    return std::any_of(module.params.begin(), module.params.end(),
                       [&](const auto& param) { return partial_over_tp(where, module, param); });
  });
}

/// All ranks of each stage that needs them together.
void add_shards(Plan& plan, const Modalities& modalities) {
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const StagePlan& stage = plan.stages[s];
    const auto m = static_cast<std::size_t>(stage.modality);
    if (!shares_gradients_over_tp(plan.modalities[m], modalities[m], stage)) continue;
    std::vector<int> ranks = plan.placement[s];
    std::sort(ranks.begin(), ranks.end());
    plan.groups.push_back({Purpose::shards, static_cast<int>(s), std::move(ranks)});
  }
}

bool has_tied(const Modality& modality) {
  return std::any_of(modality.spec.modules.begin(), modality.spec.modules.end(), [](const auto& module) {
    return std::any_of(module.params.begin(), module.params.end(),
                       [](const auto& param) { return !param.tied_to.empty(); });
  });
}

void add_tied(Plan& plan, const Modalities& modalities) {
  for (std::size_t m = 0; m < modalities.size(); ++m) {
    const ModalityPlan& where = plan.modalities[m];
    if (where.num_stages == 1 || !has_tied(modalities[m])) continue;
    for (int t = 0; t < where.tp; ++t) {
      std::vector<int> ranks;
      for (const int stage : {where.first_stage, where.last_stage()})
        for (int d = 0; d < plan.dp; ++d)
          for (int c = 0; c < where.sp; ++c) ranks.push_back(plan.rank_of(d, stage, c, t));
      std::sort(ranks.begin(), ranks.end());
      plan.groups.push_back({Purpose::tied, where.first_stage, std::move(ranks)});
    }
  }
}

void group_ranks(Plan& plan, const Modalities& modalities) {
  using Key = std::array<int, 2>;
  add_groups(plan, Purpose::tensor, [](int d, int c, int) { return Key{d, c}; });
  add_groups(plan, Purpose::context, [](int d, int, int t) { return Key{d, t}; });
  add_groups(plan, Purpose::peers, [](int d, int, int) { return Key{d, 0}; });
  add_groups(plan, Purpose::gradients, [](int, int, int t) { return Key{t, 0}; });
  add_shards(plan, modalities);
  add_tied(plan, modalities);
  std::vector<int> all(static_cast<std::size_t>(plan.world_size));
  std::iota(all.begin(), all.end(), 0);
  plan.groups.push_back({Purpose::world, -1, std::move(all)});
}

/// The step's program of each rank and that of evaluation, both proven.
Result<void> schedule(Plan& plan, bool single) {
  plan.training = one_f_one_b(plan.stages, plan.seams, plan.num_microbatches, single);
  plan.evaluation = forward_only(plan.training);
  if (auto sound = verify(plan.training, plan.stages, plan.seams, plan.num_microbatches); !sound)
    return sound;
  if (auto sound = verify(plan.evaluation, plan.stages, plan.seams, plan.num_microbatches, false); !sound)
    return sound;
  return verify_collectives(plan);
}

Result<void> divide_batch(Plan& plan, const config::Batch& batch) {
  plan.microbatch_size = batch.microbatch_size;
  if (batch.num_microbatches) {
    plan.num_microbatches = *batch.num_microbatches;
    return {};
  }
  const int unit = batch.microbatch_size * plan.dp;
  const int global = batch.global_size.value_or(unit);
  if (global % unit != 0) {
    const int below = global / unit * unit;
    return fail(ExitCode::infeasible,
                cat("batch.global_size ", global, " does not divide into ", plan.dp,
                    " replicas x microbatch_size ", batch.microbatch_size),
                cat("use a multiple of ", unit,
                    below > 0 ? cat(": ", below, " or ", below + unit) : cat(": ", unit)));
  }
  plan.num_microbatches = global / unit;
  return {};
}

Error wrong_world_size(int world_size, int per_replica) {
  const int below = world_size / per_replica * per_replica;
  std::string sizes = below > 0 ? cat(below, " or ", below + per_replica) : cat(per_replica);
  return {ExitCode::infeasible,
          cat("world size ", world_size, " is not a multiple of the ", per_replica, " ranks of one replica"),
          cat("start ", sizes, " ranks",
              world_size == 1 ? ", or pass --layout single to train on one rank" : "")};
}

}  // namespace

std::vector<Slice> sources(int own, int tp, int other) {
  std::vector<Slice> out;
  for (int peer = 0; peer < other; ++peer)
    if (peer * own < (tp + 1) * other && tp * other < (peer + 1) * own) out.push_back({peer, 0, 0});
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i].index = static_cast<int>(i);
    out[i].parts = static_cast<int>(out.size());
  }
  return out;
}

std::vector<Slice> destinations(int own, int tp, int other) {
  std::vector<Slice> out;
  for (int peer = 0; peer < other; ++peer)
    for (const Slice& slice : sources(other, peer, own))
      if (slice.peer_tp == tp) out.push_back({peer, slice.index, slice.parts});
  return out;
}

int Plan::rank_of(int dp_index, int stage, int cp, int tp) const {
  const ModalityPlan& m = modality_of(stage);
  return placement[static_cast<std::size_t>(stage)]
                  [static_cast<std::size_t>((dp_index * m.sp + cp) * m.tp + tp)];
}

const Program& Plan::training_of(int rank) const {
  return training.of_stage(ranks[static_cast<std::size_t>(rank)].parts.front().stage);
}

const Program& Plan::evaluation_of(int rank) const {
  return evaluation.of_stage(ranks[static_cast<std::size_t>(rank)].parts.front().stage);
}

const ModalityPlan& Plan::modality_of(int stage) const {
  return modalities[static_cast<std::size_t>(stages[static_cast<std::size_t>(stage)].modality)];
}

std::string Plan::stage_name(int stage) const {
  const StagePlan& s = stages[static_cast<std::size_t>(stage)];
  return cat(modality_of(stage).name, " stage ", s.stage_in_modality);
}

int ranks_of_replica(const config::RunConfig& config, const Modalities& modalities) {
  return replica_of(config, modalities).ranks_per_replica;
}

const char* name_of(Purpose purpose) {
  static const char* const names[] = {"tp", "sp", "sp_tp", "dp_sp", "tp_dp_sp", "tied_embeddings", "world"};
  return names[static_cast<int>(purpose)];
}

std::string Plan::group_name(const Group& group) const {
  switch (group.purpose) {
    case Purpose::tensor:
      return cat("tp of ", stage_name(group.stage));
    case Purpose::context:
      return cat("sp of ", stage_name(group.stage));
    case Purpose::peers:
      return cat("sp x tp of ", stage_name(group.stage));
    case Purpose::gradients:
      return cat("dp x sp of ", stage_name(group.stage));
    case Purpose::shards:
      return cat("tp x dp x sp of ", stage_name(group.stage));
    case Purpose::tied:
      return cat("tied embeddings of ", modality_of(group.stage).name);
    case Purpose::world:
      return "world";
  }
  return "";
}

bool partial_over_tp(const ModalityPlan& modality, const catalog::ModuleSpec& module,
                     const catalog::ParamSpec& param) {
  if (param.sums_over_tp) return modality.tp > 1;
  // Within a block, what is not split is applied between the products.
  return modality.tp_sequence_parallel && param.split.dim < 0 && catalog::is_layer(module);
}

Result<Plan> make_plan(const config::RunConfig& config, const Modalities& modalities, int world_size,
                       int gpus_per_node) {
  Plan plan = replica_of(config, modalities);
  const bool single = plan.layout == config::Layout::single;
  plan.world_size = world_size;
  plan.gpus_per_node = gpus_per_node;
  plan.sequence_length = config.batch.sequence_length;
  plan.packing = config.batch.packing;
  add_seams(plan);
  if (world_size < 1 || world_size % plan.ranks_per_replica != 0)
    return tl::unexpected(wrong_world_size(world_size, plan.ranks_per_replica));
  plan.dp = world_size / plan.ranks_per_replica;
  if (auto divided = divide_batch(plan, config.batch); !divided) return tl::unexpected(divided.error());

  number_ranks(plan, single);
  place_ranks(plan, gpus_per_node);
  connect_ranks(plan);
  group_ranks(plan, modalities);
  if (auto sound = schedule(plan, single); !sound) return tl::unexpected(sound.error());
  return plan;
}

std::int64_t params_on_rank(const catalog::ParamSpec& param, int tp) {
  // Of shares that differ by one, the last is among the larger ones.
  return checked_numel(catalog::shard_shape(param, tp, tp - 1)).value_or(0);
}

}  // namespace cornstarch::plan
