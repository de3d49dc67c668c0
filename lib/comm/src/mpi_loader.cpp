#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "cornstarch/base/text.h"
#include "cornstarch/comm/mpi.h"
#include "cornstarch/launch/rendezvous.h"
#include "cornstarch/launch/roll_call.h"
#include "describe.h"
#include "message_engine.h"

namespace cornstarch::comm {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr const char* kModule = "libcornstarch_mpi.so";
constexpr std::size_t kPlaceBytes = 4096;

Result<fs::path> find_module() {
  std::error_code ignored;
  const fs::path here = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  for (const fs::path& folder : {here, here / "../lib", here / "../libexec"}) {
    if (fs::exists(folder / kModule, ignored)) return folder / kModule;
  }
  return fail(
      ExitCode::launch,
      cat("this build has no MPI backend: there is no ", kModule, " in ", here.string(), " or ../lib"),
      "install Open MPI's development package and build again, or run the ranks as threads with "
      "--local-ranks");
}

Result<OpenMpiTransport> load_module() {
  const auto path = find_module();
  if (!path) return tl::unexpected(path.error());
  // Open MPI loads plugins of its own, which must see its symbols.
  void* module = dlopen(path->c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (!module) {
    return fail(ExitCode::launch, cat("cannot load the MPI backend: ", dlerror()),
                "install the MPI library that it was built with");
  }
  void* symbol = dlsym(module, kOpenMpiTransport);
  if (!symbol)
    return fail(ExitCode::internal, cat(path->string(), " is not the MPI backend of this program"));
  return reinterpret_cast<OpenMpiTransport>(symbol);
}

/// MPI itself would end the process here, with many words.
Result<void> check_launcher() {
  const auto set = [](const char* name) { return std::getenv(name) != nullptr; };
  const bool by_srun = set("SLURM_STEP_NUM_TASKS") && set("SLURM_PROCID");
  if (!by_srun || set("PMIX_RANK") || set("PMI_RANK") || set("OMPI_COMM_WORLD_RANK")) return {};
  return fail(ExitCode::launch,
              "srun started this process without PMIx, which MPI needs to find the other ranks",
              "start it with srun --mpi=pmix");
}

Result<void> check_world(const MpiTransport& transport, int expected_rank, int expected_size) {
  if (transport.size() == expected_size && transport.rank() == expected_rank) return {};
  if (transport.size() == 1) {
    return fail(
        ExitCode::launch,
        cat("the launcher started ", expected_size, " processes, but MPI believes that this one (rank ",
            expected_rank, ") is alone: another MPI's mpirun started them"),
        cat("this worker was built with ", transport.library(),
            ": start it with that MPI's mpirun, or with srun --mpi=pmix"));
  }
  return fail(ExitCode::launch,
              cat("the environment says rank ", expected_rank, " of ", expected_size, ", MPI says rank ",
                  transport.rank(), " of ", transport.size()),
              "unset the variables of other launchers (RANK, WORLD_SIZE, PMI_RANK, ...)");
}

Result<void> finish(Requests& requests, const char* what, milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!requests.complete([what] { return what; })) {
    if (std::chrono::steady_clock::now() > end) {
      return fail(ExitCode::launch, cat("waited ", describe_duration(limit), " for ",
                                        describe_ranks(requests.peers()), ": ", what));
    }
    std::this_thread::sleep_for(milliseconds(1));
  }
  return {};
}

using BoardPtr = std::unique_ptr<control::FailureBoard>;

/// MPI brings the others the board's secret and address.
Result<BoardPtr> serve_board(MpiTransport& transport, const Deadline& deadline) {
  auto board =
      control::FailureBoard::serve(control::private_meeting(), transport.size(),
                                   transport.ranks_on_host() == transport.size(), board_options(deadline));
  if (!board) return board;
  std::string place = control::to_text((*board)->place());
  place.resize(kPlaceBytes, ' ');
  Requests requests(transport);
  for (int rank = 1; rank < transport.size(); ++rank) {
    requests.send(place.data(), place.size(), rank, 0, MpiTransport::Lane::collectives);
  }
  // Who does not take it does not connect, either.
  static_cast<void>(finish(requests, "rank 0's address", deadline.start));
  (*board)->wait_for_all();
  return board;
}

Result<BoardPtr> join_board(MpiTransport& transport, const Deadline& deadline) {
  std::string place(kPlaceBytes, ' ');
  Requests requests(transport);
  requests.receive(place.data(), place.size(), 0, 0, MpiTransport::Lane::collectives);
  if (const auto received = finish(requests, "rank 0's address", deadline.start); !received)
    return tl::unexpected(received.error());
  const auto meeting = control::meeting_of(place);
  if (!meeting) return tl::unexpected(meeting.error());
  return control::FailureBoard::join(*meeting, transport.rank(), board_options(deadline));
}

}  // namespace

Result<CommunicatorPtr> connect_mpi(const launch::LaunchContext& launch, Deadline deadline,
                                    MpiOptions options) {
  if (const auto launched = check_launcher(); !launched) return tl::unexpected(launched.error());
  const auto open = load_module();
  if (!open) return tl::unexpected(open.error());
  std::string error;
  std::unique_ptr<MpiTransport> transport;
  {
    const launch::RollCall watched(launch, launch::job_name(launch), "MPI_Init_thread", deadline.start);
    transport.reset((*open)({options.max_piece_bytes}, &error));
  }
  if (!transport) return fail(ExitCode::launch, error);
  if (const auto world = check_world(*transport, launch.rank, launch.world_size); !world) {
    if (transport->size() == 1) transport->finalize();
    return tl::unexpected(world.error());
  }
  auto board = transport->rank() == 0 ? serve_board(*transport, deadline) : join_board(*transport, deadline);
  if (!board) return tl::unexpected(board.error());
  return engine_communicator(std::make_shared<Engine>(std::move(transport), std::move(*board), deadline));
}

}  // namespace cornstarch::comm
