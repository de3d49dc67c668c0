#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <dlfcn.h>
#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "mpi_transport.h"

namespace cornstarch::comm {
namespace {

struct Pieces {
  std::vector<MPI_Request> requests;
  std::size_t next = 0;  ///< those before it are complete
  bool receives = false;
  MpiTransport::Arrival arrival;
};

class Transport final : public MpiTransport {
 public:
  explicit Transport(const TransportOptions& options) : max_piece_(options.max_piece_bytes) {
    MPI_Comm_dup(MPI_COMM_WORLD, &messages_);
    MPI_Comm_dup(MPI_COMM_WORLD, &collectives_);
    // Errors of what is complete are the world's or one's own, depending on the MPI.
    for (MPI_Comm comm : {messages_, collectives_, MPI_COMM_WORLD, MPI_COMM_SELF})
      MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(messages_, &rank_);
    MPI_Comm_size(messages_, &size_);
    count_host_ranks();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int ranks_on_host() const override { return ranks_on_host_; }

  int max_tag() const override {
    int* value = nullptr;
    int found = 0;
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, static_cast<void*>(&value), &found);
    return found ? *value : 32767;
  }

  std::string library() const override {
    std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
    int length = 0;
    MPI_Get_library_version(text.data(), &length);
    const std::string all(text.data(), static_cast<std::size_t>(length));
    return all.substr(0, all.find_first_of(",\n"));
  }

  Request send(const void* data, std::size_t bytes, int to, int tag, Lane lane) override {
    const auto start = lane == Lane::messages ? MPI_Issend : MPI_Isend;
    return in_pieces(bytes, [&](std::size_t begin, int count, MPI_Request* request) {
      return start(static_cast<const char*>(data) + begin, count, MPI_BYTE, to, tag, comm(lane), request);
    });
  }

  Request receive(void* data, std::size_t bytes, int from, int tag, Lane lane) override {
    auto* pieces = in_pieces(bytes, [&](std::size_t begin, int count, MPI_Request* request) {
      return MPI_Irecv(static_cast<char*>(data) + begin, count, MPI_BYTE, from, tag, comm(lane), request);
    });
    pieces->receives = true;
    return pieces;
  }

  bool test(Request request, Arrival& arrival) override {
    auto* pieces = static_cast<Pieces*>(request);
    for (; pieces->next < pieces->requests.size(); ++pieces->next) {
      int done = 0;
      MPI_Status status;
      status.MPI_ERROR = MPI_SUCCESS;
      const int code = MPI_Test(&pieces->requests[pieces->next], &done, &status);
      if (code == MPI_SUCCESS && !done) return false;
      note(*pieces, code, status);
    }
    arrival = pieces->arrival;
    delete pieces;
    return true;
  }

  void finalize() override {
    MPI_Comm_free(&messages_);
    MPI_Comm_free(&collectives_);
    MPI_Finalize();
  }

  /// Hydra, MPICH's launcher and its kin's, kills the others with the first rank that ends early, and then
  /// reports any of the codes, or the signal. It ends at once by MPI_Abort, whatever it has still to pass on.
  void give_up(int code) override {
    if (library().rfind("Open MPI", 0) == 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    MPI_Abort(MPI_COMM_WORLD, code);
  }

 private:
  MPI_Comm comm(Lane lane) const { return lane == Lane::messages ? messages_ : collectives_; }

  template <typename Start>
  Pieces* in_pieces(std::size_t bytes, const Start& start) {
    auto pieces = std::make_unique<Pieces>();
    std::size_t begin = 0;
    do {
      const std::size_t count = std::min(bytes - begin, max_piece_);
      MPI_Request request = MPI_REQUEST_NULL;
      const int code = start(begin, static_cast<int>(count), &request);
      if (code != MPI_SUCCESS) {
        pieces->arrival.error = text_of(code);
        break;
      }
      pieces->requests.push_back(request);
      begin += count;
    } while (begin < bytes);
    return pieces.release();
  }

  static void note(Pieces& pieces, int code, const MPI_Status& status) {
    int error_class = MPI_SUCCESS;
    if (code != MPI_SUCCESS) MPI_Error_class(code, &error_class);
    if (error_class == MPI_ERR_TRUNCATE) {
      pieces.arrival.truncated = true;
    } else if (code != MPI_SUCCESS) {
      pieces.arrival.error = text_of(code);
    } else if (pieces.receives) {
      int count = 0;
      MPI_Get_count(&status, MPI_BYTE, &count);
      pieces.arrival.bytes += static_cast<std::size_t>(count);
    }
  }

  static std::string text_of(int code) {
    std::array<char, MPI_MAX_ERROR_STRING> text{};
    int length = 0;
    MPI_Error_string(code, text.data(), &length);
    return {text.data(), static_cast<std::size_t>(length)};
  }

  void count_host_ranks() {
    MPI_Comm host = MPI_COMM_NULL;
    MPI_Comm_split_type(messages_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &host);
    MPI_Comm_size(host, &ranks_on_host_);
    MPI_Comm_free(&host);
  }

  std::size_t max_piece_;
  MPI_Comm messages_ = MPI_COMM_NULL;
  MPI_Comm collectives_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  int ranks_on_host_ = 1;
};

}  // namespace
}  // namespace cornstarch::comm

extern "C" cornstarch::comm::MpiTransport* cornstarch_open_mpi_transport(
    const cornstarch::comm::TransportOptions& options, std::string* error) {
  int initialised = 0;
  MPI_Initialized(&initialised);
  if (initialised) {
    *error = "MPI is in use already: a process can connect once";
    return nullptr;
  }
  // Who waits knows when to make room for others (Engine). Where mpirun starts more ranks than there are
  // cores, it has Open MPI give the processor away, too, at every look at what has come, and there are many.
  ::setenv("OMPI_MCA_mpi_yield_when_idle", "0", /*overwrite=*/1);
  int provided = 0;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS) {
    *error = "MPI_Init_thread failed";
    return nullptr;
  }
  // Open MPI 5 does so whatever that variable says, but can be told afterwards.
  using SetYields = bool (*)(bool);
  if (const auto set_yields =
          reinterpret_cast<SetYields>(::dlsym(RTLD_DEFAULT, "opal_progress_set_yield_when_idle")))
    set_yields(false);
  return new cornstarch::comm::Transport(options);
}
