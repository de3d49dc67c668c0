#pragma once

#include <c10/core/Device.h>
#include <c10/core/Event.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cornstarch/telemetry/timeline.h"

namespace cornstarch::pipeline {

/// Notes where a rank's time goes: on the CPU by its clock, on a GPU by events in its stream, which nothing
/// waits for.
class Recorder {
 public:
  explicit Recorder(c10::Device device);
  ~Recorder();

  /// A step begins.
  void start();

  /// Does `work` and notes the time that it took.
  template <typename Work>
  void measure(std::string name, telemetry::Activity activity, Work&& work) {
    begin();
    std::forward<Work>(work)();
    end(std::move(name), activity);
  }

  /// What was measured in the step before the one under way, whose events have passed by now.
  std::vector<telemetry::Span> previous() const;

  /// On a GPU: an event that has passed, before those of this step and the previous one, and its time. Others
  /// of the same device can be placed among the spans by how long they came after it.
  const c10::Event& zero() const;
  double zero_s() const;

 private:
  void begin();
  void end(std::string name, telemetry::Activity activity);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornstarch::pipeline
