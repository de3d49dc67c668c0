#include "board.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <sstream>
#include <thread>

#include "catch.h"
#include "sockets.h"

using namespace cornstarch;
using namespace cornstarch::comm;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

using BoardPtr = std::unique_ptr<FailureBoard>;

/// The boards of a world, in one process.
struct World {
  std::mutex mutex;
  std::string printed;
  std::vector<int> ended;
  std::vector<BoardPtr> boards;

  BoardOptions options() {
    BoardOptions options;
    options.grace = milliseconds(400);
    options.print = [this](const std::string& line) {
      const std::lock_guard lock(mutex);
      printed += line;
    };
    options.end_process = [this](int code) {
      const std::lock_guard lock(mutex);
      ended.push_back(code);
    };
    return options;
  }

  explicit World(int size, bool one_host = true) {
    boards.push_back(value_or_throw(FailureBoard::serve(size, one_host, options())));
    for (int rank = 1; rank < size; ++rank) {
      boards.push_back(value_or_throw(FailureBoard::join(rank, boards[0]->address(), options())));
    }
    value_or_throw(boards[0]->wait_for_all(seconds(10)));
  }

  bool all_know_within(milliseconds limit) const {
    const auto end = std::chrono::steady_clock::now() + limit;
    for (const auto& board : boards) {
      while (board && !board->failed()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(milliseconds(1));
      }
    }
    return true;
  }
  std::string text() {
    const std::lock_guard lock(mutex);
    return printed;
  }
};

}  // namespace

TEST_CASE("a failure reaches every rank, and one line names it") {
  World world(4);
  world.boards[2]->fail(ExitCode::io, "disk full:\nno space left");
  REQUIRE(world.all_know_within(seconds(5)));
  for (const auto& board : world.boards) {
    REQUIRE(board->failure()->rank == 2);
    REQUIRE(board->failure()->code == 74);
    REQUIRE(board->failure()->cause == "disk full: no space left");
    REQUIRE(board->failure()->host == host_name());
  }
  world.boards[1]->fail(ExitCode::internal, "later");
  REQUIRE(world.boards[1]->failure()->rank == 2);
  REQUIRE(world.text() == "FATAL rank=2 host=" + host_name() + " code=74 msg=disk full: no space left\n");
}

TEST_CASE("rank 0 may be the one that fails") {
  World world(3, false);
  world.boards[0]->fail(ExitCode::numerics, "loss is NaN");
  REQUIRE(world.all_know_within(seconds(5)));
  REQUIRE(world.boards[2]->failure()->rank == 0);
  REQUIRE(world.boards[2]->failure()->code == 80);
  REQUIRE(world.text() == "FATAL rank=0 host=" + host_name() + " code=80 msg=loss is NaN\n");
}

TEST_CASE("a connection that ends without a goodbye is a death notice") {
  World world(3);
  world.boards[1].reset();
  REQUIRE(world.all_know_within(seconds(5)));
  REQUIRE(world.boards[2]->failure()->rank == 1);
  REQUIRE(world.boards[2]->failure()->cause == "died (connection lost)");
  REQUIRE(world.text() == "FATAL rank=1 host=" + host_name() + " code=? msg=died (connection lost)\n");
}

TEST_CASE("when rank 0 is lost, rank 1 says so") {
  World world(4);
  world.boards[0].reset();
  REQUIRE(world.all_know_within(seconds(5)));
  REQUIRE(world.boards[3]->failure()->rank == 0);
  REQUIRE(world.text() == "FATAL rank=0 host=" + host_name() + " code=? msg=died (connection lost)\n");
}

TEST_CASE("a clean end disturbs nobody") {
  World world(3);
  std::vector<std::thread> ends;
  for (auto& board : world.boards) {
    ends.emplace_back([&board] {
      board->leave();
      board.reset();
    });
  }
  for (auto& end : ends) end.join();
  REQUIRE(world.text().empty());
  REQUIRE(world.ended.empty());
}

TEST_CASE("whoever leaves early is not missed") {
  World world(3);
  std::thread early([&] {
    world.boards[2]->leave();
    world.boards[2].reset();
  });
  std::this_thread::sleep_for(milliseconds(100));
  REQUIRE_FALSE(world.boards[0]->failed());
  std::thread late([&] { world.boards[1]->leave(); });
  world.boards[0]->leave();
  early.join();
  late.join();
  REQUIRE(world.text().empty());
}

TEST_CASE("a process that does not end by itself is ended, the failing one with its code") {
  World world(2);
  world.boards[1]->fail(ExitCode::io, "disk full");
  REQUIRE(world.all_know_within(seconds(5)));
  std::this_thread::sleep_for(milliseconds(900));
  const std::lock_guard lock(world.mutex);
  std::sort(world.ended.begin(), world.ended.end());
  REQUIRE(world.ended == std::vector<int>{1, 74});
}

TEST_CASE("the others give the failing rank 300 ms to end first") {
  World world(2);
  const auto start = std::chrono::steady_clock::now();
  world.boards[1]->fail(ExitCode::io, "disk full");
  world.boards[1]->let_it_end_first();
  REQUIRE(std::chrono::steady_clock::now() - start < milliseconds(250));
  REQUIRE(world.all_know_within(seconds(5)));
  world.boards[0]->let_it_end_first();
  REQUIRE(std::chrono::steady_clock::now() - start >= milliseconds(300));
}

TEST_CASE("ranks that never connect are named, strangers are not counted") {
  World world(1);
  BoardPtr board = value_or_throw(FailureBoard::serve(4, true, world.options()));
  const BoardPtr member = value_or_throw(FailureBoard::join(2, board->address(), world.options()));
  std::istringstream in(board->address());
  std::string token;
  int port = 0;
  in >> token >> port;
  const std::vector<std::string> strangers{"hello wrong 1 host\nhere\n", "here\n", "failed 3 rumour\n",
                                           "hello " + token + " 9 host\nhere\n"};
  for (const auto& line : strangers) {
    const int fd = connect_tcp("127.0.0.1", port, seconds(3));
    REQUIRE(write_all(fd, line));
    REQUIRE(read_line(fd, seconds(3)).empty());
    close(fd);
  }
  const auto waited = board->wait_for_all(milliseconds(200));
  REQUIRE_FALSE(waited.has_value());
  REQUIRE(waited.error().code == ExitCode::launch);
  REQUIRE(waited.error().message == "ranks 1, 3 did not connect to rank 0 within 0.2 s");
  REQUIRE_FALSE(board->failed());
}

TEST_CASE("an address that nobody listens at") {
  const auto board = FailureBoard::join(1, "123 1", {});
  REQUIRE_FALSE(board.has_value());
  REQUIRE(board.error().message ==
          "rank 1 on " + host_name() + " cannot connect to rank 0 at 127.0.0.1 port 1");
}
