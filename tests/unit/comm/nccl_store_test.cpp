#include "nccl_store.h"

#include <unistd.h>

#include <thread>

#include "catch.h"
#include "sockets.h"

using namespace cornstarch;
using namespace cornstarch::comm;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// A port that is free, as far as one can know.
launch::Rendezvous somewhere() {
  launch::Rendezvous where{"127.0.0.1", 0, false, ""};
  close(listen_tcp(true, where.port));
  return where;
}

}  // namespace

TEST_CASE("what one rank sets the others find") {
  const auto where = somewhere();
  std::string heard;
  std::thread other([&] {
    const auto store = value_or_throw(Store::connect(where, 1, seconds(20)));
    heard = value_or_throw(store->get("address"));
    store->set("answer", std::string("\0nul", 4));
  });
  const auto store = value_or_throw(Store::connect(where, 0, seconds(20)));
  CHECK(store->find("address") == std::nullopt);
  store->set("address", "here");
  CHECK(value_or_throw(store->get("answer")) == std::string("\0nul", 4));
  other.join();
  CHECK(heard == "here");
  CHECK(store->add("ended", 1) == 1);
  CHECK(store->add("ended", 2) == 3);
  CHECK(store->add("ended", 0) == 3);
}

TEST_CASE("attempts that share a launcher's store do not see each other's keys") {
  const auto where = somewhere();
  const auto launcher = value_or_throw(Store::connect(where, 0, seconds(20)));
  auto first = where, second = where;
  first.served = second.served = true;
  first.prefix = "/attempt_0/";
  second.prefix = "/attempt_1/";
  const auto before = value_or_throw(Store::connect(first, 0, seconds(20)));
  const auto after = value_or_throw(Store::connect(second, 0, seconds(20)));
  before->set("board", "old");
  CHECK(after->find("board") == std::nullopt);
  CHECK(before->find("board") == "old");
}

TEST_CASE("a store that nobody serves, and a port that is taken") {
  auto where = somewhere();
  const auto alone = Store::connect(where, 1, milliseconds(300));
  REQUIRE_FALSE(alone);
  CHECK(alone.error().code == ExitCode::launch);
  CHECK(alone.error().message.find("rank 1 cannot reach rank 0's store at 127.0.0.1 port ") == 0);
  const int taken = listen_tcp(false, where.port);
  const auto second = Store::connect(where, 0, milliseconds(300));
  close(taken);
  REQUIRE_FALSE(second);
  CHECK(second.error().message.find("rank 0 cannot serve the store at 127.0.0.1 port ") == 0);
}
