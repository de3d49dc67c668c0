#include "cornstarch/telemetry/display.h"

#include <algorithm>
#include <limits>

#include "captured_console.h"
#include "catch.h"

using namespace cornstarch;
using namespace cornstarch::telemetry;

namespace {

StepRecord record(std::int64_t step) {
  return {.step = step,
          .loss = 2.34561,
          .grad_norm = 1.2342,
          .lr = 1e-3,
          .tokens = 1669,
          .target_tokens = 96,
          .step_time_s = 0.52,
          .tokens_per_s = 3210};
}

/// What `use` makes a display write, and what it leaves in the log.
struct Output {
  std::string stream, log;
};
template <typename Use>
Output output(Terminal terminal, LinePace pace, Use use) {
  test::CapturedConsole console(terminal);
  REQUIRE(console->keep_log(console.log_name()));
  {
    Display display(200, pace, *console);
    use(display);
  }
  return {console.stream(), console.log()};
}

}  // namespace

TEST_CASE("Durations are short at every scale") {
  CHECK(format_duration(0.5249) == "0.52s");
  CHECK(format_duration(9.996) == "10.0s");
  CHECK(format_duration(59.96) == "1m00s");
  CHECK(format_duration(185) == "3m05s");
  CHECK(format_duration(3599.7) == "1h00m");
  CHECK(format_duration(3725) == "1h02m");
  CHECK(format_duration(2 * 86400 + 3 * 3600 + 59) == "2d03h");
  CHECK(format_duration(-1) == "?");
  CHECK(format_duration(std::numeric_limits<double>::infinity()) == "?");
}

TEST_CASE("Counts keep three digits") {
  CHECK(format_count(0) == "0");
  CHECK(format_count(999.4) == "999");
  CHECK(format_count(999.6) == "1.00k");
  CHECK(format_count(3210) == "3.21k");
  CHECK(format_count(75512) == "75.5k");
  CHECK(format_count(999700) == "1.00M");
  CHECK(format_count(1.5e12) == "1.5T");
}

TEST_CASE("A step is one dense line with its step number aligned") {
  CHECK(format_step(record(20), 200) ==
        "step  20/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s");
  StepRecord skipped = record(200);
  skipped.skipped_samples = 3;
  CHECK(format_step(skipped, 200) ==
        "step 200/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s  skipped 3");
}

TEST_CASE("Colour dims the names and shows what is no number in red") {
  StepRecord diverged = record(1);
  diverged.loss = std::numeric_limits<double>::quiet_NaN();
  CHECK(format_step(diverged, 200, true) ==
        "step   1/200  \x1b[2mloss\x1b[0m \x1b[31mnan\x1b[0m  \x1b[2mgrad\x1b[0m 1.234  \x1b[2mlr\x1b[0m "
        "1.00e-03"
        "  3.21k tok/s  0.52s");
}

TEST_CASE("An evaluation says how many were right of how many") {
  CHECK(format_eval({100, 0.43211, 0.9375, 512}) == "eval at step 100  loss 0.4321  accuracy 93.8% of 512");
}

TEST_CASE("The progress line fits its width: the bar goes first, then what matters least") {
  const auto at = [](int width) { return format_progress(record(100), 200, 93, width); };
  CHECK(at(120) ==
        "[===============>              ] step 100/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  "
        "0.52s"
        "  1m33s left");
  CHECK(format_progress(record(200), 200, 0, 93) ==
        "[========] step 200/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s  0.00s left");
  CHECK(at(90) == "step 100/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s  1m33s left");
  CHECK(at(80) == "step 100/200  loss 2.3456  grad 1.234  3.21k tok/s  0.52s  1m33s left");
  CHECK(at(60) == "step 100/200  loss 2.3456  3.21k tok/s  0.52s  1m33s left");
  CHECK(at(50) == "step 100/200  loss 2.3456  0.52s  1m33s left");
  CHECK(at(25) == "step 100/200  loss 2.3456");
  CHECK(at(20) == "step 100/200");
  CHECK(at(8) == "step 100");
}

TEST_CASE("Where lines cannot be redrawn, a step's line comes as time goes, and before any other") {
  const auto [stream, log] = output({}, {.steps = 0, .seconds = 3600}, [](Display& display) {
    display.step(record(1));
    display.step(record(2));
    display.step(record(3));
    display.eval({3, 1, 0, 3});
    display.step(record(4));
    display.step(record(200));
  });
  CHECK(stream ==
        "step   1/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s\n"
        "step   3/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s\n"
        "eval at step 3  loss 1.0000  accuracy 0.0% of 3\n"
        "step 200/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s\n");
  CHECK(log == stream);
  const auto all = output({}, {.steps = 0, .seconds = 0}, [](Display& display) {
    for (int step = 1; step <= 3; ++step) display.step(record(step));
  });
  CHECK(std::ranges::count(all.stream, '\n') == 3);
}

TEST_CASE("Or every so many steps") {
  const auto [stream, log] = output({}, {.steps = 2}, [](Display& display) {
    for (int step = 1; step <= 4; ++step) display.step(record(step));
  });
  CHECK(stream ==
        "step   1/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s\n"
        "step   2/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s\n"
        "step   4/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s\n");
  CHECK(log == stream);
}

TEST_CASE("On a terminal a step redraws one line, other lines push it up, and the last one stays") {
  const Terminal terminal{.interactive = true, .color = false, .width = 26};
  const auto [stream, log] = output(terminal, {}, [](Display& display) {
    display.step(record(1));
    display.step(record(2));
    display.line("saved");
  });
  CHECK(stream ==
        "\r\x1b[Kstep   1/200  loss 2.3456\r"
        "\r\x1b[Kstep   2/200  loss 2.3456\r"
        "\r\x1b[Kstep   2/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s\n"
        "saved\n");
  CHECK(log ==
        "step   1/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s\n"
        "step   2/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s\n"
        "saved\n");
}

TEST_CASE("The time left follows the pace of recent steps") {
  const Terminal terminal{.interactive = true, .color = false, .width = 140};
  const auto [text, log] = output(terminal, {}, [](Display& display) {
    StepRecord slow = record(1);
    slow.step_time_s = 10;
    display.step(slow);
    StepRecord quick = record(2);
    quick.step_time_s = 1;
    display.step(quick);
  });
  CHECK(text.find("  10.0s  33m10s left\r") != std::string::npos);  // 199 x 10 s
  CHECK(text.find("  1.00s  30m02s left\r") != std::string::npos);  // 198 x 9.1 s
}
