#include "report.h"

#include "catch.h"
#include "cornstarch/comm/communicator.h"

using namespace cornstarch;
using namespace cornstarch::train;

TEST_CASE("Where ranks were asked to stop by several signals, one of them ends the run") {
  const auto of_two_ranks = [](int first, int second) {
    int out = -1;
    comm::run_threads(2, {}, [&](const comm::CommunicatorPtr& comm) {
      Report report;
      report.add_stop(comm->rank() == 0 ? first : second);
      report.read(report.start(*comm->world(), at::kCPU));
      if (comm->rank() == 0) out = report.stop_signal();
    });
    return out;
  };
  CHECK(of_two_ranks(0, 0) == 0);
  CHECK(of_two_ranks(SIGINT, 0) == SIGINT);
  CHECK(of_two_ranks(SIGTERM, SIGINT) == SIGTERM);
  CHECK(of_two_ranks(SIGINT, SIGTERM) == SIGTERM);
  CHECK(of_two_ranks(SIGHUP, SIGUSR1) == SIGHUP);
  CHECK(of_two_ranks(SIGUSR1, SIGUSR1) == SIGUSR1);
}
