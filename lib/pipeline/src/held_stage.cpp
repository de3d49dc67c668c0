#include "held_stage.h"

#include "cornstarch/base/text.h"
#include "cornstarch/models/weights.h"
#include "cornstarch/pipeline/module_store.h"
#include "cornstarch/telemetry/progress.h"

namespace cornstarch::pipeline {
namespace {

class Builder {
 public:
  Builder(const plan::Plan& plan, const catalog::Modalities& modalities, const comm::CommunicatorPtr& comm,
          const plan::Part& part)
      : plan_(plan),
        modality_(modalities[static_cast<std::size_t>(part.modality)]),
        sizes_(plan.modality_of(part.stage)),
        comm_(comm),
        part_(part),
        name_(plan.stage_name(part.stage)) {}

  HeldStage build(models::StageOptions options) {
    options.sp = sizes_.sp;
    options.cp = part_.cp;
    const auto& modules = plan_.stages[static_cast<std::size_t>(part_.stage)].modules;
    auto tp = comm_->group(tp_ranks(), cat("tp of ", name_));
    HeldStage held{part_.stage,
                   part_.cp,
                   comm_->group(sp_ranks(), cat("sp of ", name_)),
                   models::Stage(modality_, modules, std::move(tp), options),
                   {},
                   nullptr,
                   {},
                   -1,
                   {}};
    for (std::size_t i = 0; i < plan_.seams.size(); ++i) {
      if (plan_.seams[i].to == part_.stage) held.seams_in.push_back(static_cast<int>(i));
      if (plan_.seams[i].from == part_.stage) held.seam_out = static_cast<int>(i);
    }
    return held;
  }

  models::FirstValues values(std::uint64_t seed) const { return {modality_, seed}; }
  bool reads() const { return modality_.pretrained.has_value(); }
  const std::string& name() const { return name_; }

  /// The parameters that the ranks which hold the same shards keep together; all of them or what trains.
  std::vector<Stored> stored(models::Stage& module, bool all) {
    const auto replicas = comm_->group(replicas_of({part_.stage}), cat("dp x sp of ", name_));
    comm::GroupPtr tied_group, shards;
    std::vector<Stored> out;
    for (models::Parameter& p : module.parameters()) {
      const bool tied = is_tied(p);
      if (tied && !tied_group) tied_group = tie();
      if (p.partial_over_tp && !shards) shards = all_shards();
      const comm::GroupPtr& group = p.partial_over_tp ? shards : tied ? tied_group : replicas;
      if (p.trains || all) out.push_back({&p, group, p.partial_over_tp || p.counts, group == tied_group});
    }
    return out;
  }

  std::vector<StoredModule> by_module(const std::vector<Stored>& stored) const {
    const plan::StagePlan& stage = plan_.stages[static_cast<std::size_t>(part_.stage)];
    std::vector<StoredModule> modules;
    bool backward = false;
    for (const int index : stage.modules) {
      const auto at = static_cast<std::size_t>(index);
      StoredModule module{index, {}, -1, modality_.used[at], false};
      for (const catalog::ParamSpec& spec : modality_.spec.modules[at].params) {
        if (!spec.tied_to.empty()) module.values_of = 0;  // the head's, to the embedding's
        for (const Stored& s : stored)
          if (s.parameter->spec == &spec) module.parameters.push_back(s);
      }
      backward = backward || modality_.trains[at];
      module.backward = backward;
      backward = backward || stage.input_grad;  // features join behind the LLM's embedding
      modules.push_back(std::move(module));
    }
    return modules;
  }

 private:
  int dp() const { return plan_.ranks[static_cast<std::size_t>(comm_->rank())].dp; }

  std::vector<int> tp_ranks() const {
    std::vector<int> ranks;
    for (int t = 0; t < sizes_.tp; ++t) ranks.push_back(plan_.rank_of(dp(), part_.stage, part_.cp, t));
    return ranks;
  }

  std::vector<int> sp_ranks() const {
    std::vector<int> ranks;
    for (int c = 0; c < sizes_.sp; ++c) ranks.push_back(plan_.rank_of(dp(), part_.stage, c, part_.tp));
    return ranks;
  }

  /// The ranks that hold the same shards of these stages: those of other replicas, and of other tokens.
  std::vector<int> replicas_of(const std::vector<int>& stages) const {
    std::vector<int> ranks;
    for (const int stage : stages)
      for (int d = 0; d < plan_.dp; ++d)
        for (int c = 0; c < sizes_.sp; ++c) ranks.push_back(plan_.rank_of(d, stage, c, part_.tp));
    return ranks;
  }

  /// The ranks of all replicas that hold a part of this stage.
  comm::GroupPtr all_shards() const {
    std::vector<int> ranks;
    for (int d = 0; d < plan_.dp; ++d)
      for (int c = 0; c < sizes_.sp; ++c)
        for (int t = 0; t < sizes_.tp; ++t) ranks.push_back(plan_.rank_of(d, part_.stage, c, t));
    return comm_->group(ranks, cat("tp x dp x sp of ", name_));
  }

  comm::GroupPtr tie() const {
    return comm_->group(replicas_of({sizes_.first_stage, sizes_.first_stage + sizes_.num_stages - 1}),
                        cat("tied embeddings of ", sizes_.name));
  }

  /// Whether the LLM's first and last stage share this parameter: its gradient is the sum of both.
  bool is_tied(const models::Parameter& p) const {
    if (!p.tied_to.empty()) return true;
    if (sizes_.num_stages == 1 || part_.stage != sizes_.first_stage) return false;
    for (const auto& module : modality_.spec.modules)
      for (const auto& param : module.params)
        if (!param.tied_to.empty() && param.tied_to == p.spec->name) return true;
    return false;
  }

  const plan::Plan& plan_;
  const catalog::Modality& modality_;
  const plan::ModalityPlan& sizes_;
  const comm::CommunicatorPtr& comm_;
  const plan::Part& part_;
  std::string name_;
};

std::int64_t bytes_of(const std::vector<models::Parameter>& parameters) {
  std::int64_t bytes = 0;
  for (const models::Parameter& p : parameters) bytes += static_cast<std::int64_t>(p.value.nbytes());
  return bytes;
}

}  // namespace

HeldStage hold_stage(const plan::Plan& plan, const catalog::Modalities& modalities,
                     const comm::CommunicatorPtr& comm, const plan::Part& part,
                     const ExecutorOptions& options) {
  Builder builder(plan, modalities, comm, part);
  models::StageOptions stage = options.stage;
  stage.draws = false;
  stage.wide_first = options.store.masters;
  if (options.shard_values)
    stage.device = at::kCPU;  // never all of it: what has no value takes no memory yet
  HeldStage held = builder.build(stage);
  models::FirstValues values = builder.values(stage.seed);
  telemetry::Progress filling(cat(builder.reads() ? "reading" : "drawing", " weights of ", builder.name()),
                              bytes_of(held.module.parameters()), telemetry::Progress::kBytes);
  const auto fill = [&](models::Parameter& p) {
    values.fill(p);
    filling.add(static_cast<std::int64_t>(p.value.nbytes()));
  };
  held.stored = builder.stored(held.module, options.shard_values);
  if (options.shard_values) {
    auto store = std::make_unique<ModuleStore>(builder.by_module(held.stored), options.store, fill);
    held.module.observe(store.get());
    held.store = std::move(store);
  } else {
    for (models::Parameter& p : held.module.parameters()) fill(p);
    if (!held.stored.empty()) held.store = std::make_unique<ParameterStore>(held.stored, options.store);
  }
  values.check();
  return held;
}

}  // namespace cornstarch::pipeline
