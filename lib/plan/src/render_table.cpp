#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

#include "cornstarch/base/text.h"
#include "cornstarch/plan/mixes.h"
#include "cornstarch/plan/plan.h"
#include "render.h"

namespace cornstarch::plan {

namespace {

constexpr std::size_t kWidth = 110;

std::string counted(std::int64_t n, const char* noun) { return cat(n, " ", noun, n == 1 ? "" : "s"); }

/// The ranks of a stage, one list for each replica.
using StageRanks = std::vector<std::vector<int>>;

std::vector<StageRanks> ranks_by_stage(const Plan& plan) {
  std::vector<StageRanks> out(plan.stages.size(), StageRanks(static_cast<std::size_t>(plan.dp)));
  for (const RankPlan& rank : plan.ranks) {
    for (const Part& part : rank.parts) {
      out[static_cast<std::size_t>(part.stage)][static_cast<std::size_t>(rank.dp)].push_back(rank.rank);
    }
  }
  return out;
}

int node_of(const Plan& plan, int rank) { return plan.ranks[static_cast<std::size_t>(rank)].node; }

/// The ranks of each node.
std::vector<std::vector<int>> ranks_by_node(const Plan& plan) {
  std::vector<std::vector<int>> nodes;
  for (const RankPlan& rank : plan.ranks) {
    nodes.resize(std::max(nodes.size(), static_cast<std::size_t>(rank.node) + 1));
    nodes[static_cast<std::size_t>(rank.node)].push_back(rank.rank);
  }
  return nodes;
}

std::string heading(const Plan& plan) {
  const auto nodes = ranks_by_node(plan);
  const bool single = plan.layout == config::Layout::single;
  std::string out =
      cat(counted(plan.world_size, "rank"), " = ", counted(plan.dp, "replica"), " of ",
          plan.ranks_per_replica, ", on ", counted(static_cast<std::int64_t>(nodes.size()), "node"));
  if (!nodes.empty()) out += cat(" of ", nodes.front().size());
  out += single ? ", layout single: every rank is a whole replica\n" : ", layout separate\n";
  return out + cat("step: ", plan.num_microbatches,
                   plan.num_microbatches == 1 ? " microbatch" : " microbatches", " of ",
                   counted(plan.microbatch_size, "sample"), " for each replica, ",
                   static_cast<std::int64_t>(plan.num_microbatches) * plan.microbatch_size * plan.dp,
                   " samples in all, ", plan.packing ? "packed, up to " : "", plan.sequence_length,
                   " tokens each\n");
}

std::string parallel_sizes(const ModalityPlan& modality) {
  std::string out = cat("tp ", modality.tp);
  if (modality.sp > 1) out += cat(" sp ", modality.sp);
  if (modality.mode) out += cat(" ", config::name_of(*modality.mode));
  return out;
}

/// (3)-->(4)-->...-->(9): a modality's stages, at most `boxes` of them.
std::string chain(const ModalityPlan& modality, int boxes) {
  std::string out;
  for (int s = 0; s < modality.num_stages; ++s) {
    const bool hidden = modality.num_stages > boxes && s >= boxes - 1 && s + 1 < modality.num_stages;
    if (hidden && s > boxes - 1) continue;
    if (s > 0) out += "-->";
    out += hidden ? "..." : cat("(", modality.first_stage + s, ")");
  }
  return out;
}

/// Which modality feeds which:
///   vision  tp 2              (0)--+
///   llm     tp 4 sp 2 ring_attn    +-->(1)-->(2)
std::string flow(const Plan& plan) {
  std::vector<std::vector<std::string>> rows;
  const bool has_encoders = plan.modalities.size() > 1;
  for (std::size_t m = 0; m < plan.modalities.size(); ++m) {
    const ModalityPlan& modality = plan.modalities[m];
    const bool encoder = m + 1 < plan.modalities.size();
    rows.push_back({"  " + modality.name, parallel_sizes(modality), encoder ? chain(modality, 4) : "",
                    encoder        ? "--+"
                    : has_encoders ? "  +-->" + chain(modality, 7)
                                   : chain(modality, 10)});
  }
  std::string out;
  for (std::string line : align_columns(rows, {2})) {
    // The gap before the join belongs to the arrow.
    const std::size_t join_at = line.rfind("  --+");
    if (join_at != std::string::npos) line.replace(join_at, 5, "----+");
    out += line.substr(0, kWidth) + "\n";
  }
  return out;
}

std::string ranks_cell(const StageRanks& replicas) {
  std::vector<std::string> cells;
  for (std::size_t d = 0; d < replicas.size(); ++d) {
    const bool hidden = replicas.size() > 4 && d >= 2 && d + 1 < replicas.size();
    if (!hidden) cells.push_back(compress_ranks(replicas[d]));
    if (hidden && d == 2) cells.push_back("...");
  }
  return join(cells, " | ");
}

std::string nodes_cell(const Plan& plan, const StageRanks& replicas) {
  std::set<int> nodes;
  for (const auto& ranks : replicas)
    for (const int rank : ranks) nodes.insert(node_of(plan, rank));
  return compress_ranks({nodes.begin(), nodes.end()});
}

const catalog::ModuleSpec& module_of(const catalog::Modality& modality, int index) {
  return modality.spec.modules[static_cast<std::size_t>(index)];
}

/// A tied parameter counts once on a stage that holds both.
double params_of_stage(const StagePlan& stage, const catalog::Modality& modality, int tp) {
  std::set<std::string> here;
  for (const int m : stage.modules)
    for (const auto& param : module_of(modality, m).params) here.insert(param.name);
  double sum = 0;
  for (const int m : stage.modules)
    for (const auto& param : module_of(modality, m).params)
      if (param.tied_to.empty() || !here.count(param.tied_to))
        sum += static_cast<double>(params_on_rank(param, tp));
  return sum;
}

/// "all", "frozen", or the modules that train.
std::string trains_cell(const StagePlan& stage, const catalog::Modality& modality) {
  std::vector<std::string> training;
  std::size_t with_params = 0;
  for (const int m : stage.modules) {
    const auto index = static_cast<std::size_t>(m);
    const auto& params = module_of(modality, m).params;
    const bool trainable = std::any_of(params.begin(), params.end(), [](const auto& p) { return !p.fixed; });
    if (!trainable || !modality.used[index]) continue;
    ++with_params;
    if (modality.trains[index]) training.push_back(module_of(modality, m).name);
  }
  if (training.empty()) return stage.input_grad ? "frozen, passes gradients" : "frozen";
  if (training.size() == with_params) return "all";
  const std::string names = join(compress_modules(training), ", ");
  return names.size() <= 24 ? names : cat(training.size(), " of ", with_params, " modules");
}

std::string modules_lines(const StagePlan& stage, const catalog::Modality& modality) {
  std::vector<std::string> used, unused;
  for (const int m : stage.modules) {
    (modality.used[static_cast<std::size_t>(m)] ? used : unused).push_back(module_of(modality, m).name);
  }
  std::string out;
  if (!used.empty()) out += wrap(compress_modules(used), 9, kWidth);
  if (!unused.empty()) {
    std::vector<std::string> names = compress_modules(unused);
    names.front().insert(0, "not computed: ");
    out += wrap(names, 9, kWidth);
  }
  return out;
}

std::string stage_table(const Plan& plan, const catalog::Modalities& modalities) {
  const auto ranks = ranks_by_stage(plan);
  std::vector<std::vector<std::string>> rows = {
      {"stage", "modality", plan.dp > 1 ? "ranks, by replica" : "ranks", "nodes", "params/rank", "trains"}};
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const StagePlan& stage = plan.stages[s];
    const auto m = static_cast<std::size_t>(stage.modality);
    rows.push_back({cat("(", s, ")"), plan.modalities[m].name, ranks_cell(ranks[s]),
                    nodes_cell(plan, ranks[s]),
                    human_count(params_of_stage(stage, modalities[m], plan.modalities[m].tp)),
                    trains_cell(stage, modalities[m])});
  }
  const std::vector<std::string> lines = align_columns(rows, {0, 4});
  std::string out = lines.front() + "\n";
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const StagePlan& stage = plan.stages[s];
    out += lines[s + 1] + "\n" + modules_lines(stage, modalities[static_cast<std::size_t>(stage.modality)]);
  }
  return out;
}

/// The stages of a node's ranks, a bracket around each tensor-parallel group: "[0 0] [1] [2 2 2 2] [2": the
/// last one goes on in the next node.
std::vector<std::string> node_groups(const Plan& plan, const std::vector<int>& ranks) {
  std::vector<std::string> groups;
  for (const int r : ranks) {
    const Part& part = plan.ranks[static_cast<std::size_t>(r)].parts.front();
    const int tp = plan.modalities[static_cast<std::size_t>(part.modality)].tp;
    if (part.tp == 0) groups.emplace_back("[");
    if (groups.empty()) groups.emplace_back();
    std::string& group = groups.back();
    if (!group.empty() && group.back() != '[') group += ' ';
    group += cat(part.stage);
    if (part.tp + 1 == tp) group += ']';
  }
  return groups;
}

/// Equal groups side by side as "3x[2 2 2 2]" where a node has many ranks.
std::string shorten(const std::vector<std::string>& groups) {
  std::string all = join(groups, " ");
  if (all.size() <= kWidth - 20) return all;
  std::vector<std::string> out;
  for (std::size_t i = 0; i < groups.size();) {
    std::size_t end = i + 1;
    while (end < groups.size() && groups[end] == groups[i]) ++end;
    out.push_back(end - i == 1 ? groups[i] : cat(end - i, "x", groups[i]));
    i = end;
  }
  const std::string text = join(out, " ");
  return text.size() <= kWidth - 20 ? text : text.substr(0, kWidth - 23) + "...";
}

std::string span(int first, int last) { return first == last ? cat(first) : cat(first, "-", last); }

/// One line for each node, or for a run of nodes that look alike.
std::string node_map(const Plan& plan) {
  const auto nodes = ranks_by_node(plan);
  std::vector<std::vector<std::string>> rows = {{"node", "ranks", "stage of each rank, [tp group]"}};
  for (std::size_t first = 0; first < nodes.size();) {
    const std::string picture = shorten(node_groups(plan, nodes[first]));
    std::size_t end = first + 1;
    while (end < nodes.size() && shorten(node_groups(plan, nodes[end])) == picture) ++end;
    rows.push_back({span(static_cast<int>(first), static_cast<int>(end) - 1),
                    span(nodes[first].front(), nodes[end - 1].back()), picture});
    first = end;
  }
  return join(align_columns(rows, {}), "\n") + "\n";
}

/// Tensor-parallel groups talk most: one that spans nodes is worth a word.
std::string notes(const Plan& plan) {
  std::vector<std::string> crossing;
  for (const auto& group : plan.groups.tp) {
    if (!group.empty() && node_of(plan, group.front()) != node_of(plan, group.back())) {
      crossing.push_back(compress_ranks(group));
    }
  }
  if (crossing.empty()) return "";
  const std::size_t count = crossing.size();
  if (count > 4) {
    crossing.resize(3);
    crossing.emplace_back("...");
  }
  return cat("\nnote: ", count, " of ", counted(static_cast<std::int64_t>(plan.groups.tp.size()), "tp group"),
             count == 1 ? " spans" : " span", " two nodes or more (ranks ", join(crossing, "; "), ")\n");
}

/// "llm: 8 sp ranks share a row's attention by makespan; the heaviest has 1.00 x the mean on text, ..."
std::string balance_note(const Plan& plan, const catalog::Modalities& modalities) {
  std::vector<std::string> figures;
  for (const MixBalance& b : llm_balance(plan, modalities)) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.2f on ", b.heaviest_over_mean);
    figures.push_back(text.data() + b.mix);
  }
  if (figures.empty()) return "";
  return cat("\nattention of a row of ", plan.sequence_length, " tokens over ", plan.modalities.back().sp,
             " sp ranks, by ", config::name_of(modalities.back().distribution),
             ": the heaviest / the mean is\n", wrap(figures, 2, kWidth));
}

}  // namespace

std::string to_table(const Plan& plan, const catalog::Modalities& modalities) {
  std::string out = heading(plan) + "\n" + flow(plan) + "\n" + stage_table(plan, modalities);
  if (plan.layout == config::Layout::separate)
    out += "\n" + node_map(plan) + notes(plan) + balance_note(plan, modalities);
  return out;
}

}  // namespace cornstarch::plan
