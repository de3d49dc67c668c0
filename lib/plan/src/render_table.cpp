#include <algorithm>
#include <array>
#include <cstdio>

#include "cornstarch/base/text.h"
#include "cornstarch/plan/mixes.h"
#include "cornstarch/plan/plan.h"
#include "node_crossings.h"
#include "render.h"
#include "stage_view.h"

namespace cornstarch::plan {

namespace {

constexpr std::size_t kIndent = 9;  // of what is said of a stage below its line

std::string counted(std::int64_t n, const char* noun) { return cat(n, " ", noun, n == 1 ? "" : "s"); }

std::string heading(const Plan& plan, std::size_t width) {
  const auto nodes = ranks_by_node(plan);
  const bool single = plan.layout == config::Layout::single;
  std::string out =
      cat(counted(plan.world_size, "rank"), " = ", counted(plan.dp, "replica"), " of ",
          plan.ranks_per_replica, ", on ", counted(static_cast<std::int64_t>(nodes.size()), "node"));
  if (!nodes.empty()) out += cat(" of ", nodes.front().size());
  out += single ? ", layout single: every rank is a whole replica" : ", layout separate";
  const char* unit = plan.packing == config::Packing::first_fit ? "row" : "sample";
  const std::string step = cat(
      "step: ", plan.num_microbatches, plan.num_microbatches == 1 ? " microbatch" : " microbatches", " of ",
      counted(plan.microbatch_size, unit), " for each replica, ",
      std::int64_t{plan.num_microbatches} * plan.microbatch_size * plan.dp, " ", unit, "s in all, ",
      plan.packing == config::Packing::none ? "" : "packed, up to ", plan.sequence_length, " tokens each");
  return wrap_words(out, 2, width) + wrap_words(step, 2, width);
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

/// Which modality feeds which, with at most so many boxes for the stages of the LLM:
///   vision  tp 2              (0)--+
///   llm     tp 4 sp 2 ring_attn    +-->(1)-->(2)
std::vector<std::string> flow_lines(const Plan& plan, int boxes) {
  std::vector<std::vector<std::string>> rows;
  const bool has_encoders = plan.modalities.size() > 1;
  for (std::size_t m = 0; m < plan.modalities.size(); ++m) {
    const ModalityPlan& modality = plan.modalities[m];
    const bool encoder = m + 1 < plan.modalities.size();
    rows.push_back({"  " + modality.name, parallel_sizes(modality),
                    encoder ? chain(modality, std::min(boxes, 4)) : "",
                    encoder        ? "--+"
                    : has_encoders ? "  +-->" + chain(modality, std::min(boxes, 7))
                                   : chain(modality, boxes)});
  }
  std::vector<std::string> lines = align_columns(rows, {2});
  for (std::string& line : lines) {
    // The gap before the join belongs to the arrow.
    const std::size_t join_at = line.rfind("  --+");
    if (join_at != std::string::npos) line.replace(join_at, 5, "----+");
  }
  return lines;
}

std::size_t widest(const std::vector<std::string>& lines) {
  std::size_t out = 0;
  for (const std::string& line : lines) out = std::max(out, line.size());
  return out;
}

std::string flow(const Plan& plan, std::size_t width) {
  int boxes = 10;
  while (boxes > 2 && widest(flow_lines(plan, boxes)) > width) --boxes;
  return join(flow_lines(plan, boxes), "\n") + "\n";
}

/// The ranks of each replica, of at most so many replicas.
std::string ranks_cell(const std::vector<std::vector<int>>& replicas, std::size_t most) {
  std::vector<std::string> cells;
  for (std::size_t d = 0; d < replicas.size(); ++d) {
    const bool hidden = replicas.size() > most && d >= most / 2 && d + 1 < replicas.size();
    if (!hidden) cells.push_back(compress_ranks(replicas[d]));
    if (hidden && d == most / 2) cells.push_back("...");
  }
  return join(cells, " | ");
}

/// "all", "frozen", or the modules that train.
std::string trains_cell(const StagePlan& stage, const StageView& view) {
  if (view.trains.empty()) return stage.input_grad ? "frozen, passes gradients" : "frozen";
  if (view.frozen.empty()) return "all";
  const std::string names = join(compress_modules(view.trains), ", ");
  return names.size() <= 24
             ? names
             : cat(view.trains.size(), " of ", view.trains.size() + view.frozen.size(), " modules");
}

std::string modules_lines(const StageView& view, std::size_t width) {
  std::string out;
  if (!view.used.empty()) out += wrap(compress_modules(view.used), kIndent, width);
  if (!view.not_computed.empty()) {
    std::vector<std::string> names = compress_modules(view.not_computed);
    names.front().insert(0, "not computed: ");
    out += wrap(names, kIndent, width);
  }
  return out;
}

/// A line for each stage below a heading. Where there is no room, what trains is not a column but a line
/// below.
std::vector<std::string> stage_lines(const Plan& plan, const std::vector<StageView>& views,
                                     std::size_t replicas, bool trains) {
  std::vector<std::vector<std::string>> rows = {
      {"stage", "modality", plan.dp > 1 ? "ranks, by replica" : "ranks", "nodes", "params/rank"}};
  if (trains) rows.front().emplace_back("trains");
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const StagePlan& stage = plan.stages[s];
    rows.push_back({cat("(", s, ")"), plan.modalities[static_cast<std::size_t>(stage.modality)].name,
                    ranks_cell(views[s].ranks, replicas), compress_ranks(views[s].nodes),
                    human_count(static_cast<double>(views[s].params_per_rank))});
    if (trains) rows.back().push_back(trains_cell(stage, views[s]));
  }
  return align_columns(rows, {0, 4});
}

std::string stage_table(const Plan& plan, const std::vector<StageView>& views, std::size_t width) {
  std::vector<std::string> lines = stage_lines(plan, views, 4, true);
  const bool trains = widest(lines) <= width;
  if (!trains) lines = stage_lines(plan, views, 4, false);
  if (widest(lines) > width) lines = stage_lines(plan, views, 2, false);
  std::string out = lines.front() + "\n";
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    out += lines[s + 1] + "\n";
    if (!trains)
      out += cat(std::string(kIndent, ' '), "trains: ", trains_cell(plan.stages[s], views[s]), "\n");
    out += modules_lines(views[s], width);
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

/// Equal groups side by side as "3x[2 2 2 2]" where a node has many ranks, and the first ones where it has
/// too many.
std::string shorten(const std::vector<std::string>& groups, std::size_t width) {
  std::string all = join(groups, " ");
  if (all.size() <= width) return all;
  std::string out;
  for (std::size_t i = 0; i < groups.size();) {
    std::size_t end = i + 1;
    while (end < groups.size() && groups[end] == groups[i]) ++end;
    const std::string next = end - i == 1 ? groups[i] : cat(end - i, "x", groups[i]);
    const std::size_t room = end < groups.size() ? width - std::min<std::size_t>(width, 4) : width;
    if (!out.empty() && out.size() + 1 + next.size() > room) return out + " ...";
    out += (out.empty() ? "" : " ") + next;
    i = end;
  }
  return out;
}

std::string span(int first, int last) { return first == last ? cat(first) : cat(first, "-", last); }

/// One line for each node, or for a run of nodes that look alike.
std::string node_map(const Plan& plan, std::size_t width) {
  constexpr std::size_t kOtherColumns = 20;
  const auto nodes = ranks_by_node(plan);
  std::vector<std::vector<std::string>> rows = {{"node", "ranks", "stage of each rank, [tp group]"}};
  for (std::size_t first = 0; first < nodes.size();) {
    const auto groups = node_groups(plan, nodes[first]);
    std::size_t end = first + 1;
    while (end < nodes.size() && node_groups(plan, nodes[end]) == groups) ++end;
    rows.push_back({span(static_cast<int>(first), static_cast<int>(end) - 1),
                    span(nodes[first].front(), nodes[end - 1].back()),
                    shorten(groups, width - std::min(width, kOtherColumns))});
    first = end;
  }
  return join(align_columns(rows, {}), "\n") + "\n";
}

std::string mend_line(const Mend& mend) {
  const std::string ranks = cat("on ", mend.world_size, " ranks");
  if (!mend.order.empty()) return cat("the encoders declared in the order ", join(mend.order, ", "));
  if (mend.tp > 0) {
    const std::string parent = mend.modality == "llm" ? "" : "encoders.";
    return cat("model.", parent, mend.modality, ".parallel.tp: ", mend.tp, ", ", ranks);
  }
  if (mend.dp > 0) return cat(counted(mend.dp, "replica"), ", ", ranks);
  return cat(counted(mend.gpus_per_node, "rank"), " on each node (--gpus-per-node ", mend.gpus_per_node, ")");
}

/// Tensor-parallel groups talk most: one that spans nodes is worth a word, and so is what would keep it
/// inside.
std::string notes(const Plan& plan, const catalog::Modalities& modalities, std::size_t width) {
  std::vector<std::string> crossing;
  for (const auto& group : crossing_groups(plan)) crossing.push_back(compress_ranks(group));
  if (crossing.empty()) return "";
  const std::size_t count = crossing.size();
  if (count > 4) {
    crossing.resize(3);
    crossing.emplace_back("...");
  }
  const auto changes = mends(plan, modalities);
  std::string out = wrap_words(
      cat("note: ", count, " of ",
          counted(std::count_if(plan.groups.begin(), plan.groups.end(),
                                [](const Group& group) { return group.purpose == Purpose::tensor; }),
                  "tp group"),
          count == 1 ? " spans" : " span", " two nodes or more (ranks ", join(crossing, "; "), "), ",
          changes.empty() ? "and no single change keeps all inside" : "none with"),
      2, width);
  for (const Mend& mend : changes) out += "  " + wrap_words("- " + mend_line(mend), 4, width - 2);
  return "\n" + out;
}

/// "llm: 8 sp ranks share a row's attention by makespan; the heaviest has 1.00 x the mean on text, ..."
std::string balance_note(const Plan& plan, const catalog::Modalities& modalities, std::size_t width) {
  std::vector<std::string> figures;
  for (const MixBalance& b : llm_balance(plan, modalities)) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.2f on ", b.heaviest_over_mean);
    figures.push_back(text.data() + b.mix);
  }
  if (figures.empty()) return "";
  return "\n" +
         wrap_words(
             cat("attention of a row of ", plan.sequence_length, " tokens over ", plan.llm().sp,
                 " sp ranks, by ", config::name_of(plan.llm().distribution), ": the heaviest / the mean is"),
             2, width) +
         wrap(figures, 2, width);
}

}  // namespace

std::string to_table(const Plan& plan, const catalog::Modalities& modalities, std::size_t width) {
  std::string out = heading(plan, width) + "\n" + flow(plan, width) + "\n" +
                    stage_table(plan, stage_views(plan, modalities), width);
  if (plan.layout == config::Layout::separate)
    out +=
        "\n" + node_map(plan, width) + notes(plan, modalities, width) + balance_note(plan, modalities, width);
  return out;
}

}  // namespace cornstarch::plan
