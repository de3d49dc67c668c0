#pragma once

#include <functional>
#include <vector>

#include "cornstarch/base/checked.h"
#include "cornstarch/models/stage.h"
#include "cornstarch/pipeline/store.h"

namespace cornstarch::pipeline {

/// A module of a stage as ModuleStore keeps it.
struct StoredModule {
  int module = 0;                  ///< index into the modality's spec
  std::vector<Stored> parameters;  ///< its own; they may train or not
  int values_of = -1;              ///< the module whose values it uses, too (a tied head), or -1
  bool used = true;                ///< takes part in forward
  bool backward = true;            ///< and in backward
};

/// Keeps a share of every parameter of a one-stage modality (Rajbhandari et al., "ZeRO", 2020, stage 3). A
/// module's values are whole only while it computes: gathered before its forward and again before its
/// backward, the next module's already under way. Its gradients are scattered behind every backward and add
/// up in shares.
///
/// Modules are entered in one fixed order, and every pass ends with the last of them, entered by the stage or
/// not: so the collectives are the same on every rank of a group, whatever its microbatch contains.
class ModuleStore final : public Store, public models::ModuleObserver {
 public:
  using Fill = std::function<void(models::Parameter&, Range elements)>;

  /// `fill` writes those elements of a parameter's value that are this rank's, on the options' device; no
  /// more than one module's values take memory at a time.
  ModuleStore(const std::vector<StoredModule>& modules, StoreOptions options, const Fill& fill);
  ~ModuleStore() override;

  const std::vector<Segment>& segments() const override;
  const std::vector<at::Tensor>& gradients() const override;
  void start_step(bool reached = true) override;
  void finish() override;

  void begin_forward() override;
  void begin_backward() override;
  void end_pass() override;
  void hold(int module) override;
  void drop(int module) override;

  void before_forward(int module) override { enter(module); }
  void before_backward(int module) override { enter(module); }

 private:
  void enter(int module);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornstarch::pipeline
