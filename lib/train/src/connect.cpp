#include "connect.h"

#include <cstdint>

#include "cornstarch/base/error_of.h"
#include "cornstarch/base/text.h"
#include "cornstarch/comm/mpi.h"
#include "cornstarch/comm/nccl.h"
#include "cornstarch/telemetry/progress.h"

namespace cornstarch::train {

comm::Deadline deadline_of(const config::Deadlines& seconds) {
  const auto of = [](double s) { return std::chrono::milliseconds(static_cast<std::int64_t>(1000 * s)); };
  return {of(seconds.collective), of(seconds.start), of(seconds.step)};
}

namespace {

comm::CommunicatorPtr connect(const config::RunConfig& config, const launch::LaunchContext& launch) {
  if (launch.world_size == 1) return comm::alone();
  const telemetry::Progress connecting(cat("connecting ", launch.world_size, " ranks"));
  const comm::Deadline deadline = deadline_of(config.deadlines);
  if (config.device == config::Device::cpu) return value_or_throw(comm::connect_mpi(launch, deadline));
  return value_or_throw(comm::connect_nccl(launch, deadline));
}

}  // namespace

int as_process(const config::RunConfig& config, const launch::LaunchContext& launch,
               const std::function<int(const comm::CommunicatorPtr&)>& work) {
  const comm::CommunicatorPtr comm = connect(config, launch);
  try {
    comm->check();
    return work(comm);
  } catch (const std::exception& e) {
    const Error error = error_of(e);
    comm->abort(error);
    if (launch.world_size == 1) throw;
    return static_cast<int>(error.code);
  }
}

}  // namespace cornstarch::train
