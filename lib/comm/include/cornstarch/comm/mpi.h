#pragma once

#include "cornstarch/base/result.h"
#include "cornstarch/comm/communicator.h"

namespace cornstarch::comm {

/// The MPI backend, loaded at run time from the module beside the worker (libcornstarch_mpi.so), so that a
/// worker that does not need it starts where no MPI library is installed. Initialises MPI, checks that the
/// world has `expected_size` ranks (launch error with advice if MPI believes to be alone), and connects the
/// failure board: a control connection of every rank to rank 0, whose end is a death notice. Whichever rank
/// fails first, rank 0 prints one line that names it and the cause, and every process is gone within 10 s.
Result<CommunicatorPtr> connect_mpi(int expected_rank, int expected_size, Deadline deadline);

}  // namespace cornstarch::comm
