#include <cmath>
#include <nlohmann/json.hpp>

#include "cornstarch/plan/mixes.h"
#include "cornstarch/plan/plan.h"

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
  std::vector<Json> modality_lines, rank_lines;
  for (const ModalityPlan& modality : plan.modalities) modality_lines.push_back(modality_json(modality));
  for (const RankPlan& rank : plan.ranks) rank_lines.push_back(rank_json(rank, plan, modalities));

  std::string out = "{\n";
  out += "  \"world_size\": " + std::to_string(plan.world_size) + ",\n";
  out += "  \"ranks_per_replica\": " + std::to_string(plan.ranks_per_replica) + ",\n";
  out += "  \"dp\": " + std::to_string(plan.dp) + ",\n";
  out += "  \"layout\": " + Json(config::name_of(plan.layout)).dump() + ",\n";
  out += "  \"modalities\": " + lines(modality_lines) + ",\n";
  if (const auto mixes = llm_balance(plan, modalities); !mixes.empty()) {
    Json balances = Json::object();
    for (const MixBalance& b : mixes) balances[b.mix] = std::round(b.heaviest_over_mean * 1e4) / 1e4;
    out += "  \"llm_attention_heaviest_over_mean\": " + balances.dump() + ",\n";
  }
  out += "  \"ranks\": " + lines(rank_lines) + ",\n";
  out += "  \"groups\": {\n";
  out += "    \"tp\": " + Json(plan.groups.tp).dump() + ",\n";
  out += "    \"sp\": " + Json(plan.groups.sp).dump() + ",\n";
  out += "    \"dp\": " + Json(plan.groups.dp).dump() + ",\n";
  out += "    \"dp_sp\": " + Json(plan.groups.dp_sp).dump() + "\n";
  return out + "  }\n}\n";
}

}  // namespace cornstarch::plan
