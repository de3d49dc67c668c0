#include "cornstarch/control/board.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "catch.h"
#include "cornstarch/base/words.h"
#include "sockets.h"

using namespace cornstarch;
using namespace cornstarch::control;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

using BoardPtr = std::unique_ptr<FailureBoard>;

/// The boards of a world, in one process.
struct World {
  milliseconds silence{30'000};
  std::mutex mutex;
  std::string printed;
  std::vector<int> ended;
  std::vector<BoardPtr> boards;

  BoardOptions options() {
    BoardOptions options;
    options.grace = milliseconds(400);
    options.beat = milliseconds(50);
    options.silence = silence;
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

  explicit World(int size, bool one_host = true, milliseconds silent_for = seconds(30))
      : silence(silent_for) {
    boards.push_back(value_or_throw(FailureBoard::serve(private_meeting(), size, one_host, options())));
    for (int rank = 1; rank < size; ++rank) {
      boards.push_back(value_or_throw(FailureBoard::join(boards[0]->place(), rank, options())));
    }
    boards[0]->wait_for_all();
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
  REQUIRE(world.text() ==
          "FATAL rank=2 host=" + host_name() + " code=74 step=? op=? msg=disk full: no space left\n");
}

TEST_CASE("ranks that never come are named on all that have, whose exit code is a failed start's") {
  World world(1);
  auto options = world.options();
  options.start = milliseconds(300);
  world.boards.clear();
  world.boards.push_back(value_or_throw(FailureBoard::serve(private_meeting(), 4, true, options)));
  world.boards.push_back(value_or_throw(FailureBoard::join(world.boards[0]->place(), 1, options)));
  world.boards[0]->wait_for_all();
  REQUIRE(world.all_know_within(seconds(5)));
  for (const auto& board : world.boards) {
    CHECK(board->failure()->rank == 2);
    CHECK(exit_code_of_others(*board->failure()) == ExitCode::launch);
  }
  CHECK(world.text() ==
        "FATAL rank=2 host=? code=69 step=? op=? msg=ranks 2, 3 did not connect to rank 0 within 0.3 s\n");
}

TEST_CASE("whoever dies while others are awaited is named at once") {
  World world(1);
  world.boards.clear();
  world.boards.push_back(value_or_throw(FailureBoard::serve(private_meeting(), 3, true, world.options())));
  auto one = value_or_throw(FailureBoard::join(world.boards[0]->place(), 1, world.options()));
  std::thread dies([&] {
    std::this_thread::sleep_for(milliseconds(50));
    one.reset();
  });
  const auto began = std::chrono::steady_clock::now();
  world.boards[0]->wait_for_all();
  dies.join();
  CHECK(std::chrono::steady_clock::now() - began < seconds(5));
  CHECK(world.text() ==
        "FATAL rank=1 host=" + host_name() + " code=? step=? op=? msg=died (connection lost)\n");
}

TEST_CASE("FAILURE.json tells what the rank that threw was at, and is there before that rank ends") {
  World world(2);
  std::string report;
  world.boards[0]->on_failure([&](const std::string& text) {
    std::this_thread::sleep_for(milliseconds(200));  // to write it
    const std::lock_guard lock(world.mutex);
    report = text;
  });
  Ledger& ledger = world.boards[1]->ledger();
  ledger.at(12, "saving");
  ledger.begin(ledger.add("dp of llm stage 0", {0, 1}, true), "all_reduce sum (8 fp32)");
  world.boards[1]->fail(ExitCode::io, "disk full");
  const auto json = [&] {
    const std::lock_guard lock(world.mutex);
    return nlohmann::json::parse(report);
  }();
  CHECK(world.boards[1]->exit_code() == 74);
  CHECK(world.boards[0]->exit_code() == 1);
  CHECK(json["step"] == 12);
  REQUIRE(json["ranks"].size() == 2);
  const auto& one = json["ranks"][1];
  CHECK(one["rank"] == 1);
  CHECK(one["step"] == 12);
  CHECK(one["phase"] == "saving");
  REQUIRE(one["calls"].size() == 1);
  CHECK(one["calls"][0]["group"] == "dp of llm stage 0");
  CHECK(one["calls"][0]["last"] == std::vector<std::string>{"all_reduce sum (8 fp32)"});
}

TEST_CASE("rank 0 may be the one that fails") {
  World world(3, false);
  world.boards[0]->fail(ExitCode::numerics, "loss is NaN");
  REQUIRE(world.all_know_within(seconds(5)));
  REQUIRE(world.boards[2]->failure()->rank == 0);
  REQUIRE(world.boards[2]->failure()->code == 80);
  REQUIRE(world.text() == "FATAL rank=0 host=" + host_name() + " code=80 step=? op=? msg=loss is NaN\n");
}

TEST_CASE("a connection that ends without a goodbye is a death notice") {
  World world(3);
  world.boards[1].reset();
  REQUIRE(world.all_know_within(seconds(5)));
  REQUIRE(world.boards[2]->failure()->rank == 1);
  REQUIRE(world.boards[2]->failure()->cause == "died (connection lost)");
  REQUIRE(world.text() ==
          "FATAL rank=1 host=" + host_name() + " code=? step=? op=? msg=died (connection lost)\n");
}

TEST_CASE("when rank 0 is lost, rank 1 says so") {
  World world(4);
  world.boards[0].reset();
  REQUIRE(world.all_know_within(seconds(5)));
  REQUIRE(world.boards[3]->failure()->rank == 0);
  REQUIRE(world.text() ==
          "FATAL rank=0 host=" + host_name() + " code=? step=? op=? msg=died (connection lost)\n");
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

TEST_CASE("values find whoever asks for them, early or late") {
  World world(3);
  REQUIRE(world.boards[2]->find("id") == std::nullopt);
  world.boards[1]->publish("id", std::string("\0nul\xff", 5));
  const auto found_by = [&](int rank) {
    for (int i = 0; i < 5000; ++i, std::this_thread::sleep_for(milliseconds(1))) {
      if (const auto value = world.boards[static_cast<std::size_t>(rank)]->find("id")) return *value;
    }
    return std::string("nothing");
  };
  for (const int rank : {2, 0, 1}) REQUIRE(found_by(rank) == std::string("\0nul\xff", 5));
  REQUIRE(world.boards[2]->find("another") == std::nullopt);
}

TEST_CASE("all have arrived when the last has") {
  World world(3);
  world.boards[2]->arrive();
  world.boards[0]->arrive();
  std::this_thread::sleep_for(milliseconds(100));
  for (const auto& board : world.boards) REQUIRE_FALSE(board->all_arrived());
  world.boards[1]->arrive();
  for (const auto& board : world.boards) {
    for (int i = 0; i < 5000 && !board->all_arrived(); ++i) std::this_thread::sleep_for(milliseconds(1));
    REQUIRE(board->all_arrived());
  }
}

TEST_CASE("a cause that is longer than a message is cut") {
  World world(2);
  world.boards[1]->fail(ExitCode::io, std::string(1 << 20, 'x'));
  REQUIRE(world.all_know_within(seconds(5)));
  REQUIRE(world.boards[0]->failure()->cause.size() == 8000);
}

TEST_CASE("of ranks that wait for each other the one is named that is in no operation") {
  World world(4);
  for (int r = 0; r < 4; ++r) world.boards[static_cast<std::size_t>(r)]->ledger().at(12, "training");
  const Wait wait{{2}, "receive of 'x' (4 fp32), tag 1", "", -1, 2.5};
  world.boards[3]->ledger().waits([&] { return Wait(wait); });
  std::string report;
  world.boards[0]->on_failure([&](const std::string& text) {
    const std::lock_guard lock(world.mutex);
    report = text;
  });
  const Wait first{{3}, "all_reduce sum (8 fp32) as #0 of 'world'", "world", 0, 2};
  world.boards[1]->complain({1, first, "rank 1 waited 2 s for rank 3"});
  REQUIRE(world.all_know_within(seconds(5)));
  for (const auto& board : world.boards) {
    CHECK(board->failure()->rank == 2);
    CHECK(board->failure()->code == 76);
  }
  CHECK(world.text() ==
        "FATAL rank=2 host=" + host_name() +
            " code=76 step=12 op=\"receive of 'x' (4 fp32), tag 1\" msg=rank 3 waited 2.5 s for it: "
            "receive of 'x' (4 fp32), tag 1; it is in no operation with others (training)\n");
  std::this_thread::sleep_for(milliseconds(300));
  const std::lock_guard lock(world.mutex);
  CHECK(report.find("\"rank\": 2,\n  \"host\": \"" + host_name() + "\",\n  \"code\": 76,") !=
        std::string::npos);
  CHECK(report.find("\"seconds\": 2.5") != std::string::npos);
}

TEST_CASE("rank 0 may complain, too, and a death meanwhile is the cause") {
  World world(3);
  std::thread dies([&] {
    std::this_thread::sleep_for(milliseconds(10));
    world.boards[2].reset();
  });
  world.boards[0]->complain({0, Wait{{1}, "op", "", -1, 1}, "rank 0 waited"});
  dies.join();
  CHECK(world.boards[0]->failure()->rank == 2);
  CHECK(world.boards[0]->failure()->cause == "died (connection lost)");
}

TEST_CASE("the step that a dead rank was at is known from its heartbeats") {
  World world(2);
  world.boards[1]->ledger().at(41, "training");
  std::this_thread::sleep_for(milliseconds(400));
  world.boards[1].reset();
  REQUIRE(world.all_know_within(seconds(5)));
  CHECK(world.text() ==
        "FATAL rank=1 host=" + host_name() + " code=? step=41 op=? msg=died (connection lost)\n");
}

TEST_CASE("a process that is stopped is noticed by its silence, rank 0, too") {
  for (const int stopped : {2, 0}) {
    World world(1);
    const Meeting place = private_meeting();
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    // Whoever stops is another process: it may neither use threads of this one nor wait for it.
    auto options = world.options();
    options.silence = milliseconds(700);
    options.grace = seconds(60);
    const pid_t other = ::fork();
    if (other == 0) {
      options.print = [](const std::string&) {};
      BoardPtr board;
      if (stopped == 0) {
        board = value_or_throw(FailureBoard::serve(place, 3, true, options));
      } else {
        int port = 0;
        if (::read(ends[0], &port, sizeof port) != sizeof port) _exit(1);
        board = value_or_throw(FailureBoard::join({place.key, {"127.0.0.1"}, {port}}, stopped, options));
      }
      const int port = stopped == 0 ? board->place().ports.front() : 0;
      if (::write(ends[1], &port, sizeof port) != sizeof port) _exit(1);
      ::sleep(60);
      _exit(0);
    }
    std::vector<BoardPtr> boards;
    int port = 0;
    if (stopped == 0) {
      REQUIRE(::read(ends[0], &port, sizeof port) == sizeof port);
    } else {
      boards.push_back(value_or_throw(FailureBoard::serve(place, 3, true, options)));
      port = boards[0]->place().ports.front();
      REQUIRE(::write(ends[1], &port, sizeof port) == sizeof port);
    }
    for (const int rank : {1, 2}) {
      if (rank == stopped) continue;
      boards.push_back(value_or_throw(FailureBoard::join({place.key, {"127.0.0.1"}, {port}}, rank, options)));
    }
    std::this_thread::sleep_for(milliseconds(1'200));
    for (const auto& board : boards) CHECK_FALSE(board->failed());
    ::kill(other, SIGSTOP);
    for (const auto& board : boards) {
      for (int i = 0; i < 500 && !board->failed(); ++i) std::this_thread::sleep_for(milliseconds(10));
      REQUIRE(board->failed());
      CHECK(board->failure()->rank == stopped);
    }
    CHECK(world.text() ==
          "FATAL rank=" + std::to_string(stopped) + " host=" + host_name() +
              " code=76 step=? op=? msg=does not answer for 0.7 s (stopped, or its host is gone)\n");
    ::kill(other, SIGKILL);
    ::waitpid(other, nullptr, 0);
    for (const int end : ends) close(end);
  }
}

TEST_CASE("a step that takes too long is looked into") {
  World world(1);
  auto options = world.options();
  options.step = milliseconds(400);
  const auto zero = value_or_throw(FailureBoard::serve(private_meeting(), 2, true, options));
  const auto one = value_or_throw(FailureBoard::join(zero->place(), 1, options));
  for (int step = 1; step < 5; ++step) {
    for (const auto* board : {&zero, &one}) (*board)->ledger().at(step, "training");
    std::this_thread::sleep_for(milliseconds(200));
  }
  REQUIRE_FALSE(zero->failed());
  zero->ledger().waits([] { return Wait{{1}, "op", "", -1, 0.4}; });
  for (int i = 0; i < 300 && !zero->failed(); ++i) std::this_thread::sleep_for(milliseconds(10));
  REQUIRE(zero->failed());
  CHECK(zero->failure()->rank == 1);
  CHECK(zero->failure()->cause ==
        "rank 0 waited 0.4 s for it: op; it is in no operation with others (training)");
}
