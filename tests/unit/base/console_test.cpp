#include "cornstarch/base/console.h"

#include <fcntl.h>

#include <csignal>
#include <thread>

#include "captured_console.h"
#include "catch.h"

using namespace cornstarch;

namespace {

constexpr Terminal kPipe{};
constexpr Terminal kTerminal{.interactive = true, .color = false, .width = 12};

}  // namespace

TEST_CASE("Only a terminal that can move its cursor is redrawn, and NO_COLOR turns colour off") {
  const Terminal plain = terminal_from(false, 0, std::nullopt, "xterm", std::nullopt);
  CHECK_FALSE(plain.interactive);
  CHECK_FALSE(plain.color);
  CHECK(plain.width == 80);
  CHECK_FALSE(terminal_from(true, 120, std::nullopt, "dumb", std::nullopt).interactive);
  CHECK_FALSE(terminal_from(true, 120, std::nullopt, std::nullopt, std::nullopt).interactive);
  CHECK(terminal_from(true, 120, std::nullopt, "xterm", std::nullopt).color);
  CHECK(terminal_from(true, 120, std::nullopt, "xterm", "").color);
  CHECK_FALSE(terminal_from(true, 120, std::nullopt, "xterm", "1").color);
  CHECK(terminal_from(true, 120, std::nullopt, "xterm", "1").interactive);
}

TEST_CASE("COLUMNS goes before the width that the terminal tells") {
  CHECK(terminal_from(true, 120, std::nullopt, "xterm", std::nullopt).width == 120);
  CHECK(terminal_from(true, 120, "60", "xterm", std::nullopt).width == 60);
  CHECK(terminal_from(true, 120, "wide", "xterm", std::nullopt).width == 120);
  CHECK(terminal_from(true, 0, "", "xterm", std::nullopt).width == 80);
}

TEST_CASE("Lines push up the one that is redrawn, which is cut between characters") {
  test::CapturedConsole console(kTerminal);
  console->show("step 1");
  console->say("warning");
  console->show("reading übergroß");
  console->leave("step 1, done");
  console->say("end\n");
  CHECK(console.stream() ==
        "\r\x1b[Kstep 1\r"
        "\r\x1b[Kwarning\nstep 1\r"
        "\r\x1b[Kreading üb\r"
        "\r\x1b[Kstep 1, done\n"
        "end\n");
}

TEST_CASE("A line that ends within a character of UTF-8 loses it") {
  test::CapturedConsole console({.interactive = true, .color = false, .width = 10});
  console->show("reading üb");
  CHECK(console.stream() == "\r\x1b[Kreading \r");
}

TEST_CASE("Where lines cannot be redrawn none is shown") {
  test::CapturedConsole console(kPipe);
  console->show("step 1");
  console->say("a\nb");
  CHECK(console.stream() == "a\nb\n");
}

TEST_CASE("The log has all that was said, also before it was there, without colours") {
  test::CapturedConsole console(kPipe);
  console->say("before");
  REQUIRE(console->keep_log(console.log_name()));
  console->say("\x1b[2mloss\x1b[0m \x1b[31mnan\x1b[0m");
  console->note("for the log");
  CHECK(console.stream() == "before\n\x1b[2mloss\x1b[0m \x1b[31mnan\x1b[0m\n");
  CHECK(console.log() == "before\nloss nan\nfor the log\n");
  const auto refused = console->keep_log("/nowhere/log.txt");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message == "cannot open '/nowhere/log.txt': No such file or directory");
}

TEST_CASE("What is less than the level stands in the log only") {
  test::CapturedConsole console(kTerminal);
  REQUIRE(console->keep_log(console.log_name()));
  console->set_level(log::Level::warning);
  console->show("step 1");
  console->leave("step 1");
  console->say("said");
  console->say("careful", log::Level::warning);
  CHECK(console.stream() == "careful\n");
  CHECK(console.log() == "said\ncareful\n");
}

TEST_CASE("A reader that has gone is no reason to stop") {
  std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  ::close(ends[0]);
  test::CapturedConsole beside(kPipe);
  Console console(ends[1], kPipe);
  REQUIRE(console.keep_log(beside.log_name()));
  console.say("one");
  console.say("two");
  CHECK(beside.log() == "one\ntwo\n");
  ::close(ends[1]);
}

TEST_CASE("A full disk costs lines of the log, which are counted, and is said once") {
  test::CapturedConsole console(kPipe);
  REQUIRE(console->keep_log("/dev/full"));
  console->say("one");
  console->say("two\nthree");
  console->note("four");
  CHECK(console.stream() ==
        "warning: cannot write '/dev/full': No space left on device; what follows is missing there\n"
        "one\ntwo\nthree\n");
  CHECK(console->lost_log_lines() == 4);
  REQUIRE(console->keep_log(console.log_name()));
  console->say("five");
  CHECK(console.log() == "five\n");
  CHECK(console->lost_log_lines() == 4);
}

TEST_CASE("Silence is measured from what was last said or shown") {
  test::CapturedConsole console(kPipe);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(console->silence().count() >= 0.02);
  const auto before = console->silence();
  console->say("here");
  CHECK(console->silence() < before);
}
