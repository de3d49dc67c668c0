#pragma once

#include "cornstarch/base/text.h"
#include "cornstarch/plan/plan.h"

/// Modalities made of one-parameter modules, for tests that only ask where things run.
namespace cornstarch::test {

inline catalog::Modality modality(const std::string& name, catalog::ModelKind kind, int stages, int tp,
                                  int sp) {
  catalog::Modality m;
  m.name = name;
  m.spec.kind = kind;
  m.tp = tp;
  m.sp = sp;
  if (sp > 1) m.mode = config::SpMode::ring_attn;
  for (int s = 0; s < stages; ++s) {
    m.stages.push_back({2 * s, 2 * s + 1});
    for (int i = 0; i < 2; ++i) {
      catalog::ModuleSpec module;
      module.name = cat("layers.", 2 * s + i);
      catalog::ParamSpec weight;
      weight.name = module.name + ".weight";
      weight.shape = {4, 4};
      module.params.push_back(weight);
      catalog::set_trains(module, true);
      m.spec.modules.push_back(module);
      m.used.push_back(true);
    }
  }
  return m;
}

inline catalog::Modality encoder(const std::string& name, int stages, int tp, int sp = 1,
                                 bool train_encoder = true, bool train_projector = true) {
  catalog::Modality m = modality(name, catalog::ModelKind::vision, stages, tp, sp);
  m.spec.modules.back().name = "projector";
  for (catalog::ModuleSpec& module : m.spec.modules) catalog::set_trains(module, train_encoder);
  catalog::set_trains(m.spec.modules.back(), train_projector);
  return m;
}

inline catalog::Modality llm(int stages, int tp, int sp = 1, bool train = true) {
  catalog::Modality m = modality("llm", catalog::ModelKind::llm, stages, tp, sp);
  for (catalog::ModuleSpec& module : m.spec.modules) catalog::set_trains(module, train);
  return m;
}

inline catalog::Modalities modalities(catalog::Modalities m) { return m; }

inline config::RunConfig config(int num_microbatches = 8) {
  config::RunConfig c;
  c.batch.num_microbatches = num_microbatches;
  return c;
}

inline plan::Plan plan_of(const catalog::Modalities& m, int world, int num_microbatches = 8) {
  return value_or_throw(plan::make_plan(config(num_microbatches), m, world));
}

}  // namespace cornstarch::test
