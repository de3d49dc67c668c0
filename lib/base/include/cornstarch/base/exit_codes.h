#pragma once

namespace cornstarch {

/// What a process of this project may exit with. A launcher reports the first failing rank (mpirun) or the
/// highest code (srun), so the code of a rank that stopped for another's sake is the lowest, and root causes
/// sort above it.
enum class ExitCode : int {
  ok = 0,
  peer_failed = 1,     ///< this rank stopped because another rank failed
  usage = 2,           ///< command line or config error, the same on all ranks
  bad_data = 65,       ///< a data set, weights file or tokenizer that does not say what it should
  missing_input = 66,  ///< an input file that is not there
  launch = 69,         ///< rendezvous or launch environment failed
  internal = 70,       ///< a bug of ours
  device = 71,         ///< device or operating system error, out of memory
  io = 74,             ///< could not read or write
  preempted = 75,      ///< state saved, start me again
  protocol = 76,       ///< a hang, or ranks that disagree on what to do
  infeasible = 78,     ///< a valid config that this world size or memory cannot run
  numerics = 80,       ///< NaN or Inf
  signal_base = 128,   ///< 128 + n: ended by signal n
};

}  // namespace cornstarch
