#pragma once

#include "cornstarch/base/result.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/launch/environment.h"

namespace cornstarch::comm {

/// The NCCL backend: CUDA tensors between processes with a GPU each, the one that is current when the first
/// operation starts. The ranks meet where the launcher says, with the user's secret (control::meeting), and
/// connect the failure board (as connect_mpi does), which also carries NCCL's ids; NCCL's own communicators
/// are made when a group or a pair of ranks is first used, in the background.
///
/// Every group and every ordered pair of ranks has a stream of its own. An operation begins when what its
/// caller's current stream holds so far is done; a message is received when its Work is waited for, and those
/// posted before it from the same rank come first, whatever their lanes. When a rank dies, or an operation
/// takes longer than the deadline, NCCL's communicators are aborted, so that hosts which wait for their GPU
/// go on, and the next call throws.
///
/// A build without CUDA refuses.
Result<CommunicatorPtr> connect_nccl(const launch::LaunchContext& launch, Deadline deadline);

}  // namespace cornstarch::comm
