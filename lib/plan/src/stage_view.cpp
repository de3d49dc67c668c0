#include "stage_view.h"

#include <algorithm>
#include <set>

#include "cornstarch/catalog/module_kind.h"

namespace cornstarch::plan {
namespace {

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

StageElements elements_of(const StagePlan& stage, const catalog::Modality& modality, int tp) {
  const auto module_of = [&](int m) -> const catalog::ModuleSpec& {
    return modality.spec.modules[static_cast<std::size_t>(m)];
  };
  std::set<std::string> here;
  for (const int m : stage.modules)
    for (const auto& param : module_of(m).params) here.insert(param.name);
  StageElements sum;
  for (const int m : stage.modules) {
    const bool layer = catalog::is_layer(module_of(m));
    for (const auto& param : module_of(m).params) {
      if (here.count(param.tied_to) > 0) continue;
      const std::int64_t elements = params_on_rank(param, tp);
      sum.all += elements;
      if (param.trains) sum.training += elements;
      if (layer && param.shape.size() == 2 && !param.of_adapter) sum.matrices += elements;
    }
  }
  return sum;
}

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
    out[s].params_per_rank = elements_of(stage, modalities[m], plan.modalities[m].tp).all;
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
