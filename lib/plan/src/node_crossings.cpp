#include "node_crossings.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

namespace cornstarch::plan {
namespace {

/// The tp groups of a modality, which lie one behind the other.
struct Block {
  int modality = 0;
  int tp = 1;
  int groups = 1;  ///< in one replica
};

struct Arrangement {
  std::vector<Block> blocks;
  int dp = 1;
  int gpus_per_node = 1;

  int world_size() const {
    int ranks = 0;
    for (const Block& block : blocks) ranks += block.tp * block.groups * dp;
    return ranks;
  }
  bool crosses() const {
    int first = 0;
    for (const Block& block : blocks) {
      const int groups = block.groups * dp;
      // Where groups begin within a node repeats after at most as many of them as a node has ranks.
      for (int group = 0; group < std::min(groups, gpus_per_node); ++group) {
        if ((first + group * block.tp) % gpus_per_node + block.tp > gpus_per_node) return true;
      }
      first += groups * block.tp;
    }
    return false;
  }
};

Arrangement arrangement_of(const Plan& plan) {
  Arrangement out{{}, plan.dp, plan.gpus_per_node};
  for (std::size_t m = 0; m < plan.modalities.size(); ++m) {
    const ModalityPlan& modality = plan.modalities[m];
    out.blocks.push_back({static_cast<int>(m), modality.tp, modality.sp * modality.num_stages});
  }
  return out;
}

/// Encoders declared in another order; the LLM comes last.
std::optional<Mend> reordered(const Plan& plan, Arrangement arrangement) {
  constexpr std::size_t kMostEncoders = 6;  // 720 orders
  const auto by_modality = [](const Block& a, const Block& b) { return a.modality < b.modality; };
  auto& blocks = arrangement.blocks;
  if (blocks.size() > kMostEncoders + 1) return std::nullopt;
  while (std::next_permutation(blocks.begin(), blocks.end() - 1, by_modality)) {
    if (arrangement.crosses()) continue;
    Mend mend{.world_size = arrangement.world_size()};
    for (const Block& block : blocks)
      if (&block != &blocks.back())
        mend.order.push_back(plan.modalities[static_cast<std::size_t>(block.modality)].name);
    return mend;
  }
  return std::nullopt;
}

/// Whether a modality's heads and parameters can be split over `tp`.
bool splits(const catalog::Modality& modality, int sp, int tp) {
  const catalog::ModelSpec& spec = modality.spec;
  const int parts = modality.mode == config::SpMode::all_to_all ? tp * sp : tp;
  if (spec.heads % parts != 0 || spec.kv_heads % parts != 0) return false;
  for (const auto& module : spec.modules)
    for (const auto& param : module.params)
      if (param.split.dim >= 0 &&
          param.shape[static_cast<std::size_t>(param.split.dim)] / param.split.unit < tp)
        return false;
  return true;
}

/// Another tp of one modality: the one after which the number of ranks changes least, rather up than down.
std::optional<Mend> resized(const Plan& plan, const catalog::Modalities& modalities,
                            const Arrangement& arrangement) {
  std::optional<Mend> best;
  const auto change = [&](int world_size) {
    return std::pair(std::abs(world_size - plan.world_size), -world_size);
  };
  for (std::size_t m = 0; m < arrangement.blocks.size(); ++m) {
    for (int tp = 1; tp <= plan.gpus_per_node; ++tp) {
      Arrangement changed = arrangement;
      changed.blocks[m].tp = tp;
      const int world_size = changed.world_size();
      if (best && change(world_size) >= change(best->world_size)) continue;
      if (changed.crosses() || !splits(modalities[m], plan.modalities[m].sp, tp)) continue;
      best = Mend{.modality = plan.modalities[m].name, .tp = tp, .world_size = world_size};
    }
  }
  return best;
}

/// Another number of replicas over which the step's samples divide: the nearest, up to four times as many.
std::optional<Mend> replicated(const Plan& plan, Arrangement arrangement) {
  const long samples = static_cast<long>(plan.num_microbatches) * plan.microbatch_size * plan.dp;
  for (int distance = 1; distance <= 3 * plan.dp; ++distance) {
    for (const int dp : {plan.dp - distance, plan.dp + distance}) {
      arrangement.dp = dp;
      if (dp < 1 || samples % (static_cast<long>(plan.microbatch_size) * dp) != 0 || arrangement.crosses())
        continue;
      return Mend{.dp = dp, .world_size = arrangement.world_size()};
    }
  }
  return std::nullopt;
}

/// Fewer ranks on each node.
std::optional<Mend> spread(const Plan& plan, Arrangement arrangement) {
  while (--arrangement.gpus_per_node > 0) {
    if (!arrangement.crosses())
      return Mend{.gpus_per_node = arrangement.gpus_per_node, .world_size = plan.world_size};
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::vector<int>> crossing_groups(const Plan& plan) {
  std::vector<std::vector<int>> out;
  for (const Group& of : plan.groups) {
    if (of.purpose != Purpose::tensor) continue;
    const std::vector<int>& group = of.ranks;
    const auto node = [&](int rank) { return plan.ranks[static_cast<std::size_t>(rank)].node; };
    if (!group.empty() && node(group.front()) != node(group.back())) out.push_back(group);
  }
  return out;
}

std::vector<Mend> mends(const Plan& plan, const catalog::Modalities& modalities) {
  const Arrangement now = arrangement_of(plan);
  std::vector<Mend> out;
  for (auto& mend :
       {reordered(plan, now), resized(plan, modalities, now), replicated(plan, now), spread(plan, now)})
    if (mend) out.push_back(*mend);
  return out;
}

}  // namespace cornstarch::plan
