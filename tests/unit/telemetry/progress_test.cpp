#include "cornstarch/telemetry/progress.h"

#include <algorithm>
#include <functional>
#include <thread>

#include "captured_console.h"
#include "catch.h"
#include "cornstarch/base/log.h"

using namespace cornstarch;
using namespace cornstarch::telemetry;
using std::chrono::milliseconds;

namespace {

constexpr Progress::Pace kQuick{milliseconds(0), milliseconds(1), milliseconds(0)};
constexpr Terminal kPipe{};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Until the stream has this text; fails the test after ten seconds.
void await(const test::CapturedConsole& console, const std::string& text) {
  for (int i = 0; i < 10'000 && !contains(console.stream(), text); ++i)
    std::this_thread::sleep_for(milliseconds(1));
  CHECK(contains(console.stream(), text));
}

}  // namespace

TEST_CASE("Amounts are in the unit of the whole") {
  CHECK(format_amount("reading", 3'100'000'000, 15'000'000'000, Progress::kBytes, 1) ==
        "reading: 3.1 of 15.0 GB");
  CHECK(format_amount("reading", 0, 2'500'000, Progress::kBytes, 1) == "reading: 0.0 of 2.5 MB");
  CHECK(format_amount("reading", 900, 0, Progress::kBytes, 1) == "reading: 0.9 kB");
  CHECK(format_amount("indexing", 120'000, 665'000, "samples", 1) == "indexing: 120k of 665k samples");
  CHECK(format_amount("indexing", 12, 0, "samples", 1) == "indexing: 12 samples");
  CHECK(format_amount("opening", 0, 0, "", 2.1) == "opening: 2.10s");
}

TEST_CASE("What takes long is said, and how it ended") {
  test::CapturedConsole console(kPipe);
  {
    Progress progress("reading", 4'000'000, Progress::kBytes, *console, kQuick);
    progress.add(1'000'000);
    await(console, "reading: 1.0 of 4.0 MB\n");
    progress.add(3'000'000);
  }
  CHECK(contains(console.stream(), "reading: 4.0 of 4.0 MB, "));
}

TEST_CASE("What is over within a second is not said, nor what others speak of") {
  test::CapturedConsole console(kPipe);
  {
    const Progress progress("reading", 0, "", *console,
                            {milliseconds(60'000), milliseconds(1), milliseconds(1)});
    std::this_thread::sleep_for(milliseconds(20));
  }
  CHECK(console.stream().empty());
}

TEST_CASE("A pipe has a line in so many seconds") {
  test::CapturedConsole console(kPipe);
  {
    const Progress progress("reading", 0, "", *console,
                            {milliseconds(0), milliseconds(1), milliseconds(60'000)});
    await(console, "reading");
    std::this_thread::sleep_for(milliseconds(20));
  }
  const std::string lines = console.stream();
  CHECK(std::ranges::count(lines, '\n') == 2);  // and the last
}

TEST_CASE("What ends soon after its line is said once") {
  test::CapturedConsole console(kPipe);
  std::this_thread::sleep_for(milliseconds(2100));
  {
    const Progress progress("reading", 0, "", *console,
                            {milliseconds(2000), milliseconds(1), milliseconds(60'000)});
    await(console, "reading");
  }
  const std::string lines = console.stream();
  CHECK(std::ranges::count(lines, '\n') == 1);
}

TEST_CASE("A terminal has one line that is redrawn") {
  test::CapturedConsole console({.interactive = true, .color = false, .width = 80});
  {
    Progress progress("reading", 4'000'000, Progress::kBytes, *console, kQuick);
    await(console, "\r\x1b[Kreading: 0.0 of 4.0 MB\r");
    progress.add(4'000'000);
    await(console, "\r\x1b[Kreading: 4.0 of 4.0 MB\r");
  }
  const std::string text = console.stream();
  CHECK(contains(text, "\r\x1b[Kreading: 4.0 of 4.0 MB, "));
  CHECK(std::ranges::count(text, '\n') == 1);
}

TEST_CASE("The inner one speaks, and after it the outer") {
  test::CapturedConsole console(kPipe);
  const Progress outer("building", 0, "", *console, kQuick);
  await(console, "building");
  {
    const Progress inner("reading", 0, "", *console, kQuick);
    await(console, "reading");
    const std::size_t said = console.stream().rfind("building");
    std::this_thread::sleep_for(milliseconds(20));
    CHECK(console.stream().rfind("building") == said);
  }
  const std::size_t said = console.stream().rfind("reading");
  for (int i = 0; i < 10'000 && console.stream().rfind("building") < said; ++i)
    std::this_thread::sleep_for(milliseconds(1));
  CHECK(console.stream().rfind("building") > said);
}

TEST_CASE("Only rank 0 says what it does") {
  test::CapturedConsole console(kPipe);
  std::thread([&] {
    log::set_rank(1);
    Progress progress("reading", 0, "", *console, kQuick);
    progress.add(1);
    std::this_thread::sleep_for(milliseconds(20));
  }).join();
  CHECK(console.stream().empty());
}
