#include "cornstarch/plan/memory.h"

#include <algorithm>

#include "cornstarch/base/text.h"
#include "stage_view.h"

namespace cornstarch::plan {
namespace {

/// Bytes for each element of a parameter that trains, by what they are for.
struct ElementBytes {
  double value, gradient, master, moment;
};

ElementBytes bytes_of(config::Precision precision) {
  switch (precision) {
    case config::Precision::fp64:
    case config::Precision::fp8_in_fp64:
      return {8, 8, 0, 8};
    case config::Precision::fp32:
      return {4, 4, 0, 4};
    case config::Precision::bf16:
    case config::Precision::fp8:
      return {2, 4, 4, 4};
    case config::Precision::bf16_pure:
      return {2, 2, 0, 2};
  }
  return {};
}

int moments_of(const config::Optimizer& optimizer) {
  if (optimizer.type == config::OptimizerType::adamw) return 2;
  return optimizer.momentum != 0 ? 1 : 0;
}

/// Of as many replicas as it takes for none to share anything: the least that a run needs.
std::optional<double> one_replica(const config::RunConfig& config, const catalog::Modalities& modalities,
                                  const Plan& plan) {
  if (plan.dp == 1) return std::nullopt;
  const auto smaller = make_plan(config, modalities, plan.ranks_per_replica, plan.ranks_per_replica);
  if (!smaller) return std::nullopt;
  return node_bytes(config, modalities, *smaller, 0).total();
}

}  // namespace

HeldBytes held_bytes(const config::RunConfig& config, const catalog::Modalities& modalities, const Plan& plan,
                     int rank) {
  const ElementBytes bytes = bytes_of(config.precision);
  const bool all_shared = config.sharding == config::Sharding::zero3;
  HeldBytes held;
  for (const Part& part : plan.ranks[static_cast<std::size_t>(rank)].parts) {
    const ModalityPlan& sizes = plan.modalities[static_cast<std::size_t>(part.modality)];
    const StageElements elements = elements_of(plan.stages[static_cast<std::size_t>(part.stage)],
                                               modalities[static_cast<std::size_t>(part.modality)], sizes.tp);
    const double sharers = config.sharding == config::Sharding::none ? 1 : plan.dp * sizes.sp;
    const auto all = static_cast<double>(elements.all), training = static_cast<double>(elements.training);
    const double own = training / sharers;
    held.parameters += bytes.value * all / (all_shared ? sharers : 1);
    // Through a step GPUs keep them as products in fp8 take them: as they lie, and transposed.
    if (config.precision == config::Precision::fp8 && config.device == config::Device::cuda && !all_shared)
      held.parameters += 2 * static_cast<double>(elements.matrices);
    held.gradients += bytes.gradient * (all_shared ? own : training);
    held.optimizer += own * (bytes.master + moments_of(config.optimizer) * bytes.moment);
  }
  return held;
}

HeldBytes node_bytes(const config::RunConfig& config, const catalog::Modalities& modalities, const Plan& plan,
                     int node) {
  HeldBytes sum;
  for (const RankPlan& rank : plan.ranks) {
    if (rank.node != node) continue;
    const HeldBytes held = held_bytes(config, modalities, plan, rank.rank);
    sum.parameters += held.parameters;
    sum.gradients += held.gradients;
    sum.optimizer += held.optimizer;
  }
  return sum;
}

std::string describe(const HeldBytes& held) {
  return cat(human_bytes(held.total()), " (parameters ", human_bytes(held.parameters), ", gradients ",
             human_bytes(held.gradients), ", optimizer state ", human_bytes(held.optimizer), ")");
}

std::vector<std::string> ways_to_hold_less(const config::RunConfig& config,
                                           const catalog::Modalities& modalities, const Plan& plan,
                                           int node) {
  const double now = node_bytes(config, modalities, plan, node).total();
  std::vector<std::pair<double, std::string>> ways;
  const auto offer = [&](const std::string& way, double bytes) {
    if (bytes < now) ways.emplace_back(bytes, cat(way, " (", human_bytes(bytes), ")"));
  };
  config::RunConfig other = config;
  const bool one_stage_each = std::all_of(plan.modalities.begin(), plan.modalities.end(),
                                          [](const ModalityPlan& m) { return m.num_stages == 1; });
  for (const auto sharding : {config::Sharding::zero1, config::Sharding::zero3}) {
    if (sharding == config::Sharding::zero3 && !one_stage_each) continue;
    other.sharding = sharding;
    offer(cat("sharding: ", config::name_of(sharding)), node_bytes(other, modalities, plan, node).total());
  }
  other = config;
  other.precision = config::Precision::bf16_pure;
  offer("precision: bf16_pure", node_bytes(other, modalities, plan, node).total());
  catalog::Modalities frozen = modalities;
  for (catalog::ModuleSpec& module : frozen.back().spec.modules) set_trains(module, false);
  offer("model.llm.train: false", node_bytes(config, frozen, plan, node).total());
  if (const auto replica = one_replica(config, modalities, plan))
    offer(cat("one replica, of ", plan.ranks_per_replica,
              plan.ranks_per_replica == 1 ? " rank, in all" : " ranks, in all"),
          *replica);
  std::sort(ways.begin(), ways.end());
  std::vector<std::string> out;
  for (auto& way : ways) out.push_back(std::move(way.second));
  return out;
}

}  // namespace cornstarch::plan
