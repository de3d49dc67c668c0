#include <cmath>
#include <nlohmann/json.hpp>

#include "cornstarch/base/text.h"
#include "cornstarch/plan/mixes.h"
#include "cornstarch/plan/plan.h"
#include "node_crossings.h"
#include "stage_view.h"

namespace cornstarch::plan {

namespace {

using Json = nlohmann::ordered_json;

Json modality_json(const ModalityPlan& modality) {
  return {{"name", modality.name},
          {"tp", modality.tp},
          {"sp", modality.sp},
          {"mode", modality.mode ? Json(config::name_of(*modality.mode)) : Json(nullptr)},
          {"num_stages", modality.num_stages},
          {"first_stage", modality.first_stage}};
}

Json step_json(const Plan& plan) {
  return {{"num_microbatches", plan.num_microbatches},
          {"microbatch_size", plan.microbatch_size},
          {"samples", std::int64_t{plan.num_microbatches} * plan.microbatch_size * plan.dp},
          {"sequence_length", plan.sequence_length},
          {"packing", config::name_of(plan.packing)}};
}

Json stage_json(const Plan& plan, std::size_t index, const StageView& view) {
  const StagePlan& stage = plan.stages[index];
  return {{"stage", index},
          {"modality", plan.modalities[static_cast<std::size_t>(stage.modality)].name},
          {"stage_in_modality", stage.stage_in_modality},
          {"ranks", view.ranks},
          {"nodes", view.nodes},
          {"params_per_rank", view.params_per_rank},
          {"trains", view.trains},
          {"frozen", view.frozen},
          {"passes_gradients", stage.input_grad},
          {"modules", view.used},
          {"not_computed", view.not_computed}};
}

Json mend_json(const Mend& mend) {
  Json out = Json::object();
  if (!mend.order.empty()) out["encoders"] = mend.order;
  if (mend.tp > 0) out["modality"] = mend.modality;
  if (mend.tp > 0) out["tp"] = mend.tp;
  if (mend.dp > 0) out["dp"] = mend.dp;
  if (mend.gpus_per_node > 0) out["gpus_per_node"] = mend.gpus_per_node;
  out["world_size"] = mend.world_size;
  return out;
}

Json part_json(const Part& part, const Plan& plan, const catalog::Modalities& modalities) {
  const StagePlan& stage = plan.stages[static_cast<std::size_t>(part.stage)];
  const auto modality = static_cast<std::size_t>(part.modality);
  Json modules = Json::array();
  for (const int m : stage.modules) {
    modules.push_back(modalities[modality].spec.modules[static_cast<std::size_t>(m)].name);
  }
  return {{"modality", plan.modalities[modality].name},
          {"stage", part.stage},
          {"stage_in_modality", stage.stage_in_modality},
          {"sp", part.cp},
          {"tp", part.tp},
          {"modules", std::move(modules)}};
}

Json rank_json(const RankPlan& rank, const Plan& plan, const catalog::Modalities& modalities) {
  Json parts = Json::array();
  for (const Part& part : rank.parts) parts.push_back(part_json(part, plan, modalities));
  return {{"rank", rank.rank},
          {"node", rank.node},
          {"dp", rank.dp},
          {"parts", std::move(parts)},
          {"receives_from", rank.receives_from},
          {"sends_to", rank.sends_to}};
}

/// Ranks of each group, by what they are for.
std::string groups_json(const Plan& plan) {
  Json by_purpose = Json::object();
  for (const Group& group : plan.groups) by_purpose[name_of(group.purpose)].push_back(group.ranks);
  std::vector<std::string> entries;
  for (const auto& [purpose, groups] : by_purpose.items())
    entries.push_back(cat("    ", Json(purpose).dump(), ": ", groups.dump()));
  return "{\n" + join(entries, ",\n") + "\n  }";
}

/// An array with one element a line: 512 ranks stay readable, and searchable by line.
std::string lines(const std::vector<Json>& elements) {
  std::string out = "[";
  for (std::size_t i = 0; i < elements.size(); ++i) {
    out += (i == 0 ? "\n    " : ",\n    ") + elements[i].dump();
  }
  return out + "\n  ]";
}

}  // namespace

std::string to_json(const Plan& plan, const catalog::Modalities& modalities) {
  std::vector<Json> modality_lines, stage_lines, rank_lines, mend_lines;
  for (const ModalityPlan& modality : plan.modalities) modality_lines.push_back(modality_json(modality));
  const std::vector<StageView> views = stage_views(plan, modalities);
  for (std::size_t s = 0; s < views.size(); ++s) stage_lines.push_back(stage_json(plan, s, views[s]));
  const auto crossing = crossing_groups(plan);
  if (!crossing.empty())
    for (const Mend& mend : mends(plan, modalities)) mend_lines.push_back(mend_json(mend));
  for (const RankPlan& rank : plan.ranks) rank_lines.push_back(rank_json(rank, plan, modalities));

  std::string out = "{\n";
  out += "  \"world_size\": " + std::to_string(plan.world_size) + ",\n";
  out += "  \"ranks_per_replica\": " + std::to_string(plan.ranks_per_replica) + ",\n";
  out += "  \"dp\": " + std::to_string(plan.dp) + ",\n";
  out += "  \"nodes\": " + std::to_string(ranks_by_node(plan).size()) + ",\n";
  out += "  \"gpus_per_node\": " + std::to_string(plan.gpus_per_node) + ",\n";
  out += "  \"layout\": " + Json(config::name_of(plan.layout)).dump() + ",\n";
  out += "  \"step\": " + step_json(plan).dump() + ",\n";
  out += "  \"modalities\": " + lines(modality_lines) + ",\n";
  out += "  \"stages\": " + lines(stage_lines) + ",\n";
  if (const auto mixes = llm_balance(plan, modalities); !mixes.empty()) {
    Json balances = Json::object();
    for (const MixBalance& b : mixes) balances[b.mix] = std::round(b.heaviest_over_mean * 1e4) / 1e4;
    out += "  \"llm_attention_heaviest_over_mean\": " + balances.dump() + ",\n";
  }
  out += "  \"ranks\": " + lines(rank_lines) + ",\n";
  out += "  \"groups\": " + groups_json(plan);
  if (!crossing.empty()) {
    out += ",\n  \"tp_groups_over_nodes\": " + Json(crossing).dump();
    out += ",\n  \"tp_groups_inside_nodes_with\": " + lines(mend_lines);
  }
  return out + "\n}\n";
}

}  // namespace cornstarch::plan
