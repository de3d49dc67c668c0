#include "stage_view.h"

#include <algorithm>
#include <set>

namespace cornstarch::plan {
namespace {

/// A tied parameter counts once on a stage that holds both.
std::int64_t params_of_stage(const StagePlan& stage, const catalog::Modality& modality, int tp) {
  const auto params_of = [&](int m) { return modality.spec.modules[static_cast<std::size_t>(m)].params; };
  std::set<std::string> here;
  for (const int m : stage.modules)
    for (const auto& param : params_of(m)) here.insert(param.name);
  std::int64_t sum = 0;
  for (const int m : stage.modules)
    for (const auto& param : params_of(m))
      if (param.tied_to.empty() || !here.count(param.tied_to)) sum += params_on_rank(param, tp);
  return sum;
}

void add_modules(const StagePlan& stage, const catalog::Modality& modality, StageView& out) {
  for (const int m : stage.modules) {
    const auto index = static_cast<std::size_t>(m);
    const catalog::ModuleSpec& module = modality.spec.modules[index];
    (modality.used[index] ? out.used : out.not_computed).push_back(module.name);
    const bool can_train =
        std::any_of(module.params.begin(), module.params.end(), [](const auto& p) { return !p.fixed; });
    if (can_train && modality.used[index])
      (catalog::trains(module) ? out.trains : out.frozen).push_back(module.name);
  }
}

}  // namespace

std::vector<std::vector<int>> ranks_by_node(const Plan& plan) {
  std::vector<std::vector<int>> nodes;
  for (const RankPlan& rank : plan.ranks) {
    nodes.resize(std::max(nodes.size(), static_cast<std::size_t>(rank.node) + 1));
    nodes[static_cast<std::size_t>(rank.node)].push_back(rank.rank);
  }
  return nodes;
}

std::vector<StageView> stage_views(const Plan& plan, const catalog::Modalities& modalities) {
  std::vector<StageView> out(plan.stages.size());
  for (std::size_t s = 0; s < out.size(); ++s) {
    const StagePlan& stage = plan.stages[s];
    const auto m = static_cast<std::size_t>(stage.modality);
    out[s].ranks.resize(static_cast<std::size_t>(plan.dp));
    out[s].params_per_rank = params_of_stage(stage, modalities[m], plan.modalities[m].tp);
    add_modules(stage, modalities[m], out[s]);
  }
  std::vector<std::set<int>> nodes(out.size());
  for (const RankPlan& rank : plan.ranks) {
    for (const Part& part : rank.parts) {
      const auto s = static_cast<std::size_t>(part.stage);
      out[s].ranks[static_cast<std::size_t>(rank.dp)].push_back(rank.rank);
      nodes[s].insert(rank.node);
    }
  }
  for (std::size_t s = 0; s < out.size(); ++s) out[s].nodes.assign(nodes[s].begin(), nodes[s].end());
  return out;
}

}  // namespace cornstarch::plan
