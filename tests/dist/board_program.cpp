// What tests/dist/board.sh starts under several launchers: ranks that meet as on GPUs, without any.
#include <iostream>
#include <thread>

#include "cornstarch/base/text.h"
#include "cornstarch/control/board.h"
#include "cornstarch/launch/environment.h"

using namespace cornstarch;
using namespace cornstarch::control;
using std::chrono::milliseconds;

namespace {

std::string await_value(FailureBoard& board, const std::string& key) {
  for (int i = 0; i < 10'000; ++i, std::this_thread::sleep_for(milliseconds(1))) {
    if (const auto value = board.find(key)) return *value;
    if (board.failed()) throw Failure(ExitCode::peer_failed, board.failure()->cause);
  }
  throw Failure(ExitCode::protocol, "no value has come");
}

/// Every rank's value to every other; then `seconds` pass before all leave.
void run(int seconds) {
  const auto launch = value_or_throw(launch::detect());
  BoardOptions options;
  options.start = milliseconds(5'000);
  const auto board = value_or_throw(FailureBoard::connect(value_or_throw(meeting(launch)), launch, options));
  board->publish(cat("rank ", launch.rank), cat("I am ", launch.rank));
  for (int r = 0; r < launch.world_size; ++r) {
    if (await_value(*board, cat("rank ", r)) != cat("I am ", r))
      throw Failure(ExitCode::internal, "another's value");
  }
  std::cout << cat("rank ", launch.rank, " of ", launch.world_size, " by ", launch.source, "\n")
            << std::flush;
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  board->arrive();
  while (!board->all_arrived() && !board->failed()) std::this_thread::sleep_for(milliseconds(5));
  board->leave();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc > 1 ? std::atoi(argv[1]) : 0);
    return 0;
  } catch (const Failure& failure) {
    std::cerr << cat("error: ", failure.what(), "\n  help: ", failure.error().help, "\n");
    return static_cast<int>(failure.error().code);
  }
}
