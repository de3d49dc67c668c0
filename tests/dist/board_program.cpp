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

/// Whether it has come before a rank failed.
bool has_value(FailureBoard& board, const std::string& key, const std::string& expected) {
  for (; !board.failed(); std::this_thread::sleep_for(milliseconds(1))) {
    const auto value = board.find(key);
    if (value && *value != expected) throw Failure(ExitCode::internal, "another's value");
    if (value) return true;
  }
  return false;
}

/// Every rank's value to every other; then `seconds` pass before all leave.
ExitCode run(int seconds, milliseconds start) {
  const auto launch = value_or_throw(launch::detect());
  BoardOptions options;
  options.start = start;
  const auto board = value_or_throw(FailureBoard::connect(value_or_throw(meeting(launch)), launch, options));
  board->publish(cat("rank ", launch.rank), cat("I am ", launch.rank));
  for (int r = 0; r < launch.world_size; ++r) {
    if (!has_value(*board, cat("rank ", r), cat("I am ", r))) return exit_code_of_others(*board->failure());
  }
  std::cout << cat("rank ", launch.rank, " of ", launch.world_size, " by ", launch.source, "\n")
            << std::flush;
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  board->arrive();
  while (!board->all_arrived() && !board->failed()) std::this_thread::sleep_for(milliseconds(5));
  board->leave();
  return ExitCode::ok;
}

}  // namespace

/// board_program [SECONDS [MILLISECONDS]]: how long ranks stay, and how long they wait for each other.
int main(int argc, char** argv) {
  try {
    const milliseconds start(argc > 2 ? std::atoi(argv[2]) : 5'000);
    return static_cast<int>(run(argc > 1 ? std::atoi(argv[1]) : 0, start));
  } catch (const Failure& failure) {
    std::cerr << cat("error: ", failure.what(), "\n  help: ", failure.error().help, "\n");
    return static_cast<int>(failure.error().code);
  }
}
