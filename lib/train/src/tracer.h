#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "cornstarch/base/checked.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/pipeline/recorder.h"
#include "cornstarch/plan/plan.h"
#include "cornstarch/telemetry/timeline.h"
#include "host_waits.h"

namespace cornstarch::train {

/// Keeps the timelines of chosen steps and brings all ranks' into one file.
class Tracer {
 public:
  /// `steps`: from 0, end excluded; `device`: that `comm` serves.
  Tracer(Range steps, const plan::Plan& plan, comm::CommunicatorPtr comm, c10::Device device)
      : steps_(steps), plan_(plan), comm_(std::move(comm)), device_(device) {}

  /// A step begins; transfers are timed and the host's waits noted if it is one of the chosen.
  void begin(std::int64_t step);
  /// It has been issued: what the host does until the next one begins is still the step's, transfers are not.
  void issued() { comm_->time_transfers(false); }
  /// What has been measured since the last call: the spans of a step, and transfers that have ended.
  void add(std::int64_t step, const std::vector<telemetry::Span>& spans, const pipeline::Recorder& recorder);

  /// Every rank calls it; rank 0 writes.
  void write(const std::filesystem::path& path);

 private:
  void take_waits();
  bool wants(std::int64_t step) const { return step >= steps_.begin && step < steps_.end; }

  Range steps_;
  const plan::Plan& plan_;
  comm::CommunicatorPtr comm_;
  c10::Device device_;
  std::vector<telemetry::Span> spans_;
  std::unique_ptr<HostWaits> waits_;
};

}  // namespace cornstarch::train
