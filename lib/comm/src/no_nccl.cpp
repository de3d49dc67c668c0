#include "cornstarch/comm/nccl.h"

namespace cornstarch::comm {

Result<CommunicatorPtr> connect_nccl(const launch::LaunchContext&, Deadline) {
  return fail(ExitCode::usage, "this build has no CUDA, and so no NCCL: it trains on CPUs only",
              "set device to cpu, or build with cmake --preset cuda");
}

}  // namespace cornstarch::comm
