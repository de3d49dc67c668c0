#include "cornstarch/base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <regex>
#include <thread>

#include "catch.h"
#include "cornstarch/base/files.h"

namespace cornstarch {
namespace {

/// What `action` writes to stderr, each time of day as TIME.
std::string stderr_of(const std::function<void()>& action) {
  std::string name = (std::filesystem::temp_directory_path() / "cornstarch-log-XXXXXX").string();
  const int file = ::mkstemp(name.data());
  const int saved = ::dup(STDERR_FILENO);
  ::dup2(file, STDERR_FILENO);
  action();
  std::fflush(stderr);
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  ::close(file);
  const std::string text = read_file(name).value();
  std::filesystem::remove(name);
  return std::regex_replace(text, std::regex("[0-9]{2}:[0-9]{2}:[0-9]{2} "), "TIME ");
}

TEST_CASE("Lines carry time, level and rank") {
  const auto speak = [] {
    log::debug("not shown by default");
    log::info("started {} %d");
    log::warning("careful");
    log::error("broken");
  };
  CHECK(stderr_of(speak) == "TIME info started {} %d\nTIME warning careful\nTIME error broken\n");
  const auto as_rank = [&](int rank) {
    return stderr_of([&] {
      std::thread([&] {
        log::set_rank(rank);
        speak();
      }).join();
    });
  };
  CHECK(as_rank(0) ==
        "TIME info [rank 0] started {} %d\nTIME warning [rank 0] careful\nTIME error [rank 0] broken\n");
  CHECK(as_rank(3) == "TIME warning [rank 3] careful\nTIME error [rank 3] broken\n");
  CHECK(stderr_of(speak) == "TIME info started {} %d\nTIME warning careful\nTIME error broken\n");
}

TEST_CASE("The level filters") {
  log::set_level(log::Level::error);
  CHECK(stderr_of([] { log::warning("careful"); }).empty());
  log::set_level(log::Level::debug);
  CHECK(stderr_of([] { log::debug("detail"); }) == "TIME debug detail\n");
  log::set_level(log::Level::info);
}

}  // namespace
}  // namespace cornstarch
