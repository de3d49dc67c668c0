#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cornstarch/base/checked.h"
#include "cornstarch/base/result.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/plan/schedule.h"

/// Where everything runs, as a plain value: what was planned is what runs.
namespace cornstarch::plan {

/// A rank's place within its replica. `stage` counts over all modalities.
struct Part {
  int modality = 0;
  int stage = 0;
  int cp = 0;
  int tp = 0;
  bool operator==(const Part&) const = default;
};

/// Where a modality runs, and how.
struct ModalityPlan {
  std::string name;
  int tp = 1;
  int sp = 1;
  std::optional<config::SpMode> mode;
  config::Distribution distribution = config::Distribution::makespan;
  bool tp_sequence_parallel = false;
  config::Checkpointing checkpointing = config::Checkpointing::none;
  bool fp8 = false;  ///< the products of its blocks round their operands
  int num_stages = 0;
  int first_stage = 0;
  int last_stage() const { return first_stage + num_stages - 1; }
};

/// One pipeline stage of one modality.
struct StagePlan {
  int modality = 0;
  int stage_in_modality = 0;
  std::vector<int> modules;  ///< indices into the modality's spec
  bool trains = false;       ///< some parameter of it trains
  bool input_grad = false;   ///< something upstream of it trains: the gradient of its input is needed
  bool backward() const { return trains || input_grad; }
};

/// Activations that cross from one stage to the next: hidden states within a modality, features into the LLM.
/// Message lanes, peers and slices derive from it. Gradients flow back iff the producer has a backward.
struct Seam {
  int from = 0;  ///< stages
  int to = 0;
  bool carries_grad = false;
};

struct RankPlan {
  int rank = 0;
  int node = 0;
  int dp = 0;
  std::vector<Part> parts;
  std::vector<int> receives_from;  ///< ranks, sorted, forward direction
  std::vector<int> sends_to;
};

/// What ranks work together for.
enum class Purpose {
  tensor,     ///< tp: parts of every product of a stage
  context,    ///< sp: other tokens of the same samples
  peers,      ///< sp x tp: a stage of one replica
  gradients,  ///< dp x sp: hold the same shards of a stage, whose gradients they add up
  shards,     ///< tp x dp x sp: for what blocks apply to a tp rank's share of the tokens or heads
  tied,       ///< dp x sp of a modality's first and last stage, which both hold the embeddings
  world,
};

/// "tp", "sp", "sp_tp", "dp_sp", "tp_dp_sp", "tied_embeddings", "world".
const char* name_of(Purpose purpose);

/// Ranks that call the same collectives. The runtime makes no other groups than the plan's, in their order.
struct Group {
  Purpose purpose = Purpose::world;
  int stage = -1;          ///< whose work it is; of `tied` the first one, of `world` none
  std::vector<int> ranks;  ///< ascending
  bool operator==(const Group&) const = default;
};

struct Plan {
  int world_size = 1;
  int ranks_per_replica = 1;
  int gpus_per_node = 8;  ///< ranks that share a node
  int dp = 1;
  config::Layout layout = config::Layout::separate;
  std::vector<ModalityPlan> modalities;
  std::vector<StagePlan> stages;
  std::vector<Seam> seams;
  std::vector<RankPlan> ranks;
  /// [stage][(dp x sp + cp) x tp + tp]: the rank. Nothing else numbers ranks.
  std::vector<std::vector<int>> placement;
  std::vector<Group> groups;  ///< by purpose and stage
  int microbatch_size = 1;
  int num_microbatches = 1;  ///< per replica and step
  int sequence_length = 0;
  /// With it, stages hold the real tokens of a microbatch only.
  config::Packing packing = config::Packing::none;
  Schedule training, evaluation;

  /// The rank that holds a place of replica dp.
  int rank_of(int dp_index, int stage, int cp, int tp) const;
  /// What a rank does in a step, or in a pass over held-out samples.
  const Program& training_of(int rank) const;
  const Program& evaluation_of(int rank) const;
  const ModalityPlan& modality_of(int stage) const;
  const ModalityPlan& llm() const { return modalities.back(); }
  /// "llm stage 1".
  std::string stage_name(int stage) const;
  /// "tp of llm stage 1".
  std::string group_name(const Group& group) const;
};

/// The ranks of one replica, of which a world size must be a multiple.
int ranks_of_replica(const config::RunConfig& config, const catalog::Modalities& modalities);

/// That the collectives of a training step begin in one order on all ranks that share them, as NCCL demands:
/// there is an order of all of them which every program follows. Says what the programs disagree about.
Result<void> verify_collectives(const Plan& plan);

/// Whether every tp rank has only a part of a parameter's gradient: that of the tokens which it holds.
bool partial_over_tp(const ModalityPlan& modality, const catalog::ModuleSpec& module,
                     const catalog::ParamSpec& param);

/// Plans a run. The world size must be a multiple of the ranks of one replica (else infeasible, naming the
/// nearest sizes that work) and the batch must divide over the replicas.
Result<Plan> make_plan(const config::RunConfig& config, const catalog::Modalities& modalities, int world_size,
                       int gpus_per_node = 8);

/// Rows of a tensor that crosses a seam: the consumer (or, for gradients, the producer) takes `share` `index`
/// of `parts` of the rows from the rank with tensor-parallel coordinate `peer_tp`.
struct Slice {
  int peer_tp = 0;
  int index = 0;
  int parts = 1;
  bool operator==(const Slice&) const = default;
};

/// Where the side with tp size `own` and coordinate `tp` gets a tensor that every rank of the other side (tp
/// size `other`) holds in full: one slice from every peer whose interval [i/other, (i+1)/other) overlaps its
/// own.
std::vector<Slice> sources(int own, int tp, int other);

/// What the holder `tp` of `own` sends to each peer of a side of size `other`: the mirror of sources().
std::vector<Slice> destinations(int own, int tp, int other);

/// Elements of `param` on the rank of a tensor-parallel group of `tp` that has most.
std::int64_t params_on_rank(const catalog::ParamSpec& param, int tp);

/// The plan as JSON: all that the table shows, and every rank and group.
std::string to_json(const Plan& plan, const catalog::Modalities& modalities);

/// A picture of the plan that a person reads at a glance, in lines of at most `width` columns: longer ones
/// only where a single name does not fit.
std::string to_table(const Plan& plan, const catalog::Modalities& modalities, std::size_t width = 110);

}  // namespace cornstarch::plan
