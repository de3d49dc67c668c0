#include "held_stage.h"

#include <algorithm>

#include "cornstarch/base/text.h"
#include "cornstarch/models/weights.h"
#include "cornstarch/pipeline/module_store.h"
#include "cornstarch/telemetry/progress.h"

namespace cornstarch::pipeline {
namespace {

class Builder {
 public:
  Builder(const plan::Plan& plan, const catalog::Modalities& modalities, const Groups& groups,
          const plan::Part& part)
      : plan_(plan),
        modality_(modalities[static_cast<std::size_t>(part.modality)]),
        sizes_(plan.modality_of(part.stage)),
        groups_(groups),
        part_(part),
        name_(plan.stage_name(part.stage)) {}

  HeldStage build(models::StageOptions options) {
    options.where = sizes_;
    options.cp = part_.cp;
    const auto& modules = plan_.stages[static_cast<std::size_t>(part_.stage)].modules;
    HeldStage held{part_.stage,
                   part_.cp,
                   group(plan::Purpose::context),
                   {group(plan::Purpose::tensor), group(plan::Purpose::gradients)},
                   models::Stage(modality_, modules, group(plan::Purpose::tensor), options),
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
    std::vector<Stored> out;
    for (models::Parameter& p : module.parameters()) {
      const bool tied = is_tied(p);
      const auto purpose = p.partial_over_tp ? plan::Purpose::shards
                           : tied            ? plan::Purpose::tied
                                             : plan::Purpose::gradients;
      if (p.trains || all)
        out.push_back({&p, group(purpose), module_of(p), p.partial_over_tp || p.counts,
                       purpose == plan::Purpose::tied});
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
      for (const catalog::ParamSpec& spec : modality_.spec.modules[at].params)
        if (!spec.tied_to.empty()) module.values_of = 0;  // the head's, to the embedding's
      for (const Stored& s : stored)
        if (s.module == index) module.parameters.push_back(s);
      backward = backward || catalog::trains(modality_.spec.modules[at]);
      module.backward = backward;
      backward = backward || stage.input_grad;  // features join behind the LLM's embedding
      modules.push_back(std::move(module));
    }
    return modules;
  }

 private:
  const comm::GroupPtr& group(plan::Purpose purpose) const {
    return groups_.at({purpose, purpose == plan::Purpose::tied ? sizes_.first_stage : part_.stage});
  }

  int module_of(const models::Parameter& p) const {
    const auto& modules = modality_.spec.modules;
    const auto has = [&](const catalog::ModuleSpec& module) {
      return std::ranges::any_of(module.params, [&](const auto& spec) { return &spec == p.spec; });
    };
    return static_cast<int>(std::ranges::find_if(modules, has) - modules.begin());
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
  const Groups& groups_;
  const plan::Part& part_;
  std::string name_;
};

std::int64_t bytes_of(const std::vector<models::Parameter>& parameters) {
  std::int64_t bytes = 0;
  for (const models::Parameter& p : parameters) bytes += static_cast<std::int64_t>(p.value.nbytes());
  return bytes;
}

}  // namespace

Groups make_groups(const plan::Plan& plan, comm::Communicator& comm) {
  Groups out;
  for (const plan::Group& group : plan.groups) {
    if (!std::binary_search(group.ranks.begin(), group.ranks.end(), comm.rank())) continue;
    out[{group.purpose, group.stage}] = group.purpose == plan::Purpose::world
                                            ? comm.world()
                                            : comm.group(group.ranks, plan.group_name(group));
  }
  return out;
}

HeldStage hold_stage(const plan::Plan& plan, const catalog::Modalities& modalities, const Groups& groups,
                     const plan::Part& part, const ExecutorOptions& options) {
  Builder builder(plan, modalities, groups, part);
  StoreOptions store_options = options.store;
  store_options.zeroes = options.cuda_graphs;
  // A recording is launched as a whole.
  store_options.observes = store_options.sharded && !options.cuda_graphs;
  models::StageOptions stage = options.stage;
  stage.draws = false;
  stage.wide_first = options.store.masters;
  if (options.shard_values)
    stage.device = at::kCPU;  // never all of it: what has no value takes no memory yet
  HeldStage held = builder.build(stage);
  if (nn::Fp8Scales* fp8 = held.module.fp8()) fp8->place(options.stage.device, !options.shard_values);
  models::FirstValues values = builder.values(stage.seed);
  telemetry::Progress filling(cat(builder.reads() ? "reading" : "drawing", " weights of ", builder.name()),
                              bytes_of(held.module.parameters()), telemetry::Progress::kBytes);
  const auto fill = [&](models::Parameter& p, Range elements) {
    values.fill(p, elements);
    filling.add(static_cast<std::int64_t>(p.value.nbytes()));
  };
  held.stored = builder.stored(held.module, options.shard_values);
  if (options.shard_values) {
    auto store = std::make_unique<ModuleStore>(builder.by_module(held.stored), store_options, fill);
    held.module.observe(store.get());
    held.store = std::move(store);
  } else {
    for (models::Parameter& p : held.module.parameters()) fill(p, {0, p.value.numel()});
    if (!held.stored.empty()) {
      auto store = std::make_unique<ParameterStore>(held.stored, store_options);
      if (store_options.observes) held.module.observe(store.get());
      held.store = std::move(store);
    }
  }
  values.check();
  return held;
}

}  // namespace cornstarch::pipeline
