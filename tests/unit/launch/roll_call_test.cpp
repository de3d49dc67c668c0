#include "cornstarch/launch/roll_call.h"

#include <unistd.h>

#include <atomic>
#include <memory>

#include "catch.h"
#include "cornstarch/base/text.h"

using namespace cornstarch;
using namespace cornstarch::launch;
using std::chrono::milliseconds;

namespace {

struct Ranks {
  std::mutex mutex;
  std::string said;
  std::atomic<int> ended{0};
  std::vector<std::unique_ptr<RollCall>> calls;
  std::string run = cat("roll_call_test ", ::getpid());

  void come(int local, int local_size, int world_size, milliseconds limit = milliseconds(150)) {
    LaunchContext launch;
    launch.rank = local;
    launch.local_rank = local;
    launch.local_size = local_size;
    launch.world_size = world_size;
    calls.push_back(std::make_unique<RollCall>(
        launch, run, "MPI_Init_thread", limit,
        [this](const std::string& line) {
          const std::lock_guard lock(mutex);
          said += line;
        },
        [this](int code) { ended += code; }));
  }
  std::string heard() {
    std::this_thread::sleep_for(milliseconds(1'000));
    const std::lock_guard lock(mutex);
    const auto at = said.find("host=") + 5;
    return said.empty() ? said : said.substr(0, at) + "H" + said.substr(said.find(' ', at));
  }
};

}  // namespace

TEST_CASE("who does not come is named by one of those that wait, and all end") {
  Ranks ranks;
  for (const int rank : {0, 1, 3}) ranks.come(rank, 4, 4);
  CHECK(ranks.heard() ==
        "FATAL rank=2 host=H code=69 step=? op=\"MPI_Init_thread\" msg=rank 2 is not there, for which "
        "MPI_Init_thread "
        "waited 0.15 s\n");
  CHECK(ranks.ended == 3 * 69);
}

TEST_CASE("whoever dies in the call is missing, also the first") {
  Ranks ranks;
  for (const int rank : {0, 1, 2, 3}) ranks.come(rank, 4, 4, milliseconds(rank < 2 ? 60'000 : 300));
  ranks.calls[0].reset();
  ranks.calls[1].reset();
  CHECK(ranks.heard() ==
        "FATAL rank=0 host=H code=69 step=? op=\"MPI_Init_thread\" msg=ranks 0, 1 are not there, for which "
        "MPI_Init_thread waited 0.3 s\n");
  CHECK(ranks.ended == 2 * 69);
}

TEST_CASE("the deadline that passes first is everybody's, and whose it is speaks") {
  Ranks ranks;
  for (const int rank : {0, 1}) ranks.come(rank, 3, 3, milliseconds(rank == 1 ? 200 : 60'000));
  CHECK(ranks.heard() ==
        "FATAL rank=2 host=H code=69 step=? op=\"MPI_Init_thread\" msg=rank 2 is not there, for which "
        "MPI_Init_thread waited 0.2 s\n");
  CHECK(ranks.ended == 2 * 69);
}

TEST_CASE("nobody outlives its own deadline") {
  const auto began = std::chrono::steady_clock::now();
  Ranks ranks;
  for (const int rank : {0, 1, 2}) ranks.come(rank, 4, 4);
  while (ranks.ended < 3 * 69 && std::chrono::steady_clock::now() - began < std::chrono::seconds(5))
    std::this_thread::sleep_for(milliseconds(1));
  CHECK(std::chrono::steady_clock::now() - began < milliseconds(600));
}

TEST_CASE("a run that cannot be told from another leaves that one alone") {
  Ranks first, second;
  for (const int rank : {0, 1}) first.come(rank, 2, 2, milliseconds(60'000));
  second.come(0, 2, 2);
  CHECK(second.heard() ==
        "FATAL rank=? host=H code=69 step=? op=\"MPI_Init_thread\" msg=MPI_Init_thread did not return within "
        "0.15 s: a rank is missing\n");
  CHECK(second.ended == 69);
  CHECK(first.ended == 0);
}

TEST_CASE("on one of several hosts only its own can be told") {
  Ranks ranks;
  for (const int rank : {0, 1}) ranks.come(rank, 2, 4);
  CHECK(ranks.heard() ==
        "FATAL rank=? host=H code=69 step=? op=\"MPI_Init_thread\" msg=MPI_Init_thread did not return within "
        "0.15 s: all "
        "2 ranks of this host are there, some of another are missing\n");
}

TEST_CASE("a call that returns in time is not spoken of") {
  Ranks ranks;
  for (const int rank : {0, 1}) ranks.come(rank, 3, 3, milliseconds(300));
  ranks.calls.clear();
  CHECK(ranks.heard().empty());
  CHECK(ranks.ended == 0);
}
