#include <map>
#include <set>

#include "cornstarch/base/text.h"
#include "cornstarch/plan/plan.h"

namespace cornstarch::plan {
namespace {

/// What one instruction begins over a stage's groups of one purpose. Ranks of different groups of that
/// purpose run the same program, so it stands for all of them.
struct Collective {
  Purpose purpose = Purpose::world;
  int stage = -1;
  Op op = Op::reduce_gradients;
  int microbatch = -1;
  auto operator<=>(const Collective&) const = default;
};

std::string name(const Collective& c) {
  std::string out = name_of(c.purpose);
  if (c.stage >= 0) out += cat(" of stage ", c.stage);
  if (c.microbatch >= 0) out += cat(c.op == Op::backward ? " in backward " : " in forward ", c.microbatch);
  return out;
}

/// Lists what a program begins, in order, over groups of two ranks and more.
class Listing {
 public:
  explicit Listing(const Plan& plan) : plan_(plan) {
    for (const Group& group : plan.groups) {
      if (group.ranks.size() > 1) wide_.insert({group.purpose, group.stage});
      if (group.purpose == Purpose::tied)
        tied_[group.stage] = tied_[plan.modality_of(group.stage).last_stage()] = group.stage;
    }
  }

  std::vector<Collective> of(const Program& program) {
    const Instruction last = last_backward(program, program.early_stage());
    for (const Instruction& i : program.instructions) {
      if (i.op == Op::forward || i.op == Op::backward) {
        add({Purpose::tensor, i.stage, i.op, i.microbatch});
        add({Purpose::context, i.stage, i.op, i.microbatch});
      }
      const bool waited = i.op == Op::reduce_gradients;
      if (waited ? i.stage != program.early_stage() : i == last) {
        add({Purpose::gradients, i.stage});
        add({Purpose::shards, i.stage});
      }
      if (waited && tied_.count(i.stage) > 0) add({Purpose::tied, tied_.at(i.stage)});
    }
    add({Purpose::world});
    for (const int stage : program.stages) {  // new scales
      if (!plan_.modality_of(stage).fp8) continue;
      add({Purpose::tensor, stage});
      add({Purpose::gradients, stage, Op::forward});
    }
    return std::move(out_);
  }

 private:
  static Instruction last_backward(const Program& program, int stage) {
    Instruction last;
    for (const Instruction& i : program.instructions)
      if (i.op == Op::backward && i.stage == stage) last = i;
    return last;
  }
  void add(const Collective& c) {
    if (wide_.count({c.purpose, c.stage}) > 0) out_.push_back(c);
  }

  const Plan& plan_;
  std::set<std::pair<Purpose, int>> wide_;
  std::map<int, int> tied_;  // stages that hold embeddings which another one holds, too: the first of both
  std::vector<Collective> out_;
};

}  // namespace

Result<void> verify_collectives(const Plan& plan) {
  std::vector<std::vector<Collective>> lists;
  std::map<Collective, std::size_t> programs;  // that take part in it
  for (const Program& program : plan.training.programs) {
    lists.push_back(Listing(plan).of(program));
    for (const Collective& c : lists.back()) ++programs[c];
  }
  // What all of its programs have come to is next in the order of all.
  std::vector<std::size_t> next(lists.size(), 0);
  std::map<Collective, std::vector<std::size_t>> here;
  std::vector<std::size_t> arriving;
  for (std::size_t p = 0; p < lists.size(); ++p) arriving.push_back(p);
  while (!arriving.empty()) {
    const std::size_t p = arriving.back();
    arriving.pop_back();
    if (next[p] == lists[p].size()) continue;
    const Collective c = lists[p][next[p]];
    here[c].push_back(p);
    if (here[c].size() < programs[c]) continue;
    const auto together = here.extract(c);
    for (const std::size_t q : together.mapped()) {
      ++next[q];
      arriving.push_back(q);
    }
  }
  std::vector<std::string> waiting;
  for (std::size_t p = 0; p < lists.size(); ++p)
    if (next[p] < lists[p].size())
      waiting.push_back(
          cat("stage ", plan.training.programs[p].stages.front(), " begins ", name(lists[p][next[p]])));
  if (waiting.empty()) return {};
  return fail(ExitCode::internal, cat("collectives in no common order: ", join(waiting, ", ")));
}

}  // namespace cornstarch::plan
