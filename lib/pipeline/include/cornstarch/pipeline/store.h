#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "cornstarch/base/checked.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/models/stage.h"

namespace cornstarch::pipeline {

/// A parameter and the ranks that keep it together: they hold the same value, and the sum of their gradients
/// is its gradient.
struct Stored {
  models::Parameter* parameter = nullptr;
  comm::GroupPtr group;
  int module = 0;      ///< whose it is: index into the modality's spec
  bool counts = true;  ///< in the norm; false where another group counts the same shard
  /// Its group holds ranks of several stages, whose backwards end one after the other and need each other.
  bool over_stages = false;
};

/// A run of consecutive elements of a parameter that this rank updates.
struct Segment {
  const models::Parameter* parameter = nullptr;
  std::int64_t begin = 0;  ///< of its first element in the flattened shard
  at::Tensor value;        ///< 1-D
  at::Tensor master;       ///< fp32, of which value is the rounding; undefined where value is all there is
  at::Tensor gradient;     ///< summed over the global batch once the step's backward is done
  bool counts = true;      ///< in the norm: of all ranks that hold these elements, on one
  Range saves = {};        ///< of its elements, what this rank writes: each is written by one of those ranks
};

struct StoreOptions {
  std::int64_t bucket_bytes = std::int64_t{16} << 20;
  bool sharded = false;  ///< ZeRO-1: each rank of a group updates its share only
  /// Values in fp32 beside `narrow` ones, which are their roundings; gradients add up in fp32. What trains
  /// is given in fp32, so that no digit of its first values is lost.
  bool masters = false;
  at::Device device = at::kCPU;  ///< of what is kept; values may come from another
  at::ScalarType narrow = at::kBFloat16;
  bool narrow_sums = false;  ///< with masters: gradients are rounded to `narrow` on their way to other ranks
  bool zeroes = false;       ///< gradients begin at zero: recorded launches can only add
  /// The store is told of modules, and waits for published values when the first needs them, not all at once.
  bool observes = false;
};

/// Where the parameters of a stage are kept, and how gradients come to those who update them.
class Store {
 public:
  virtual ~Store() = default;

  /// What this rank updates; stays the same.
  virtual const std::vector<Segment>& segments() const = 0;
  /// The flat memory of the segments' gradients, for scaling.
  virtual const std::vector<at::Tensor>& gradients() const = 0;

  /// The step begins: gradients are what comes from now on. Zero if the step does not reach this stage: then
  /// it need not be finished.
  virtual void start_step(bool reached = true) = 0;
  /// The step's last backward begins.
  virtual void last_backward() {}
  /// Waits until gradients are summed.
  virtual void finish() = 0;
  /// Segments have been updated: begins to bring the values to every rank. They arrive until they are needed.
  virtual void publish() {}
  /// Waits until every value is where it belongs.
  virtual void settle() {}

  /// Around each forward and backward of the stage.
  virtual void begin_forward() {}
  virtual void begin_backward() {}
  virtual void end_pass() {}
  /// Makes the values of a module whole between passes, and lets them go. Every rank of its groups takes
  /// part.
  virtual void hold(int /*module*/) {}
  virtual void drop(int /*module*/) {}
};

/// Keeps a stage's trainable parameters and their gradients in flat buckets, and sums gradients over replicas
/// while backward still runs. Buckets are filled from the last parameter of the stage to the first, as
/// backward reaches them; one is on its way as soon as all of it is there, but for those over several stages,
/// which come last, when backward is done. They leave in one fixed order on every rank, whatever each rank's
/// microbatches contain.
///
/// Sharded (Rajbhandari et al., "ZeRO", 2020, stage 1), the sum of a bucket is scattered: each rank of the
/// bucket's group gets one contiguous share, updates it, and gathers the others' values, those first that the
/// next forward needs first: the rest comes under its computation, if the store observes its stage.
class ParameterStore final : public Store, public models::ModuleObserver {
 public:
  /// Moves values and gradients into the buckets; whoever shares a parameter's tensor sees the same memory.
  ParameterStore(const std::vector<Stored>& parameters, StoreOptions options);
  ~ParameterStore() override;

  const std::vector<Segment>& segments() const override;
  const std::vector<at::Tensor>& gradients() const override;
  void start_step(bool reached = true) override;
  /// From now on, a bucket leaves when its last gradient has been added.
  void last_backward() override;
  /// Sends what has not left and waits for all of it.
  void finish() override;
  void publish() override;
  void settle() override;
  void begin_forward() override;

  void before_forward(int module) override;
  void before_backward(int /*module*/) override {}

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornstarch::pipeline
