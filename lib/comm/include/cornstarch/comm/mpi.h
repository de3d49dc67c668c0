#pragma once

#include <cstddef>

#include "cornstarch/base/result.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/launch/environment.h"

namespace cornstarch::comm {

struct MpiOptions {
  std::size_t max_piece_bytes = std::size_t{1}
                                << 30;  ///< longer messages go in pieces; small values are for tests
};

/// The MPI backend, loaded at run time from the module beside the worker (libcornstarch_mpi.so), so that a
/// worker that does not need it starts where no MPI library is installed. Initialises MPI, checks that the
/// world is the launcher's (launch error with advice if MPI believes to be alone), and connects the
/// failure board: a control connection of every rank to rank 0, whose end is a death notice. Whichever rank
/// fails first, rank 0 prints one line that names it and the cause, and every process is gone within 10 s.
///
/// One thread at a time may use the communicator (abort is free of that). A rank that fails calls abort and
/// exits with the failure's code; the line is printed by then. The last owner of the communicator ends MPI:
/// it waits for the other ranks to come to their end too, unless a rank has failed.
Result<CommunicatorPtr> connect_mpi(const launch::LaunchContext& launch, Deadline deadline,
                                    MpiOptions options = {});

}  // namespace cornstarch::comm
