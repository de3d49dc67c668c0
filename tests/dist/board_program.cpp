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

/// Every rank's value to every other; then `seconds` pass before all leave, or, if less than none, the
/// process exits as a library might have it do, and takes its time.
ExitCode run(int seconds, const BoardOptions& options) {
  const auto launch = value_or_throw(launch::detect());
  const auto board = value_or_throw(FailureBoard::connect(value_or_throw(meeting(launch)), launch, options));
  board->publish(cat("rank ", launch.rank), cat("I am ", launch.rank));
  for (int r = 0; r < launch.world_size; ++r) {
    if (!has_value(*board, cat("rank ", r), cat("I am ", r))) return exit_code_of_others(*board->failure());
  }
  std::cout << cat("rank ", launch.rank, " of ", launch.world_size, " by ", launch.source, "\n")
            << std::flush;
  if (seconds < 0) std::exit(7);
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  board->arrive();
  while (!board->all_arrived() && !board->failed()) std::this_thread::sleep_for(milliseconds(5));
  board->leave();
  return ExitCode::ok;
}

}  // namespace

/// board_program [SECONDS [START [COLLECTIVE]]]: how long ranks stay; how long they wait for each other at
/// the start, and in operations, in milliseconds.
int main(int argc, char** argv) {
  const auto number = [&](int at, int otherwise) { return argc > at ? std::atoi(argv[at]) : otherwise; };
  const int seconds = number(1, 0);
  if (seconds < 0)
    std::atexit([] { std::this_thread::sleep_for(milliseconds(1'500)); });  // behind all others
  try {
    BoardOptions options;
    options.start = milliseconds(number(2, 5'000));
    options.silence = longest_silence(milliseconds(number(3, 600'000)));
    return static_cast<int>(run(seconds, options));
  } catch (const Failure& failure) {
    std::cerr << cat("error: ", failure.what(), "\n  help: ", failure.error().help, "\n");
    return static_cast<int>(failure.error().code);
  }
}
