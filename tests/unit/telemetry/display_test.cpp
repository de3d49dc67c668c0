#include "cornstarch/telemetry/display.h"

#include <cstdlib>
#include <limits>

#include "catch.h"

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

/// Everything that `use` makes a display write.
template <typename Use>
std::string output(Terminal terminal, Use use) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* stream = open_memstream(&text, &size);
  {
    Display display(200, stream, terminal);
    use(display);
  }
  std::fclose(stream);
  std::string result(text, size);
  std::free(text);
  return result;
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

TEST_CASE("The progress line fits its width: the bar goes first, then the end of the text") {
  CHECK(format_progress(record(100), 200, 93, 120) ==
        "[===============>              ] step 100/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  "
        "0.52s"
        "  1m33s left");
  CHECK(format_progress(record(200), 200, 0, 93) ==
        "[========] step 200/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s  0.00s left");
  CHECK(format_progress(record(100), 200, 93, 90) ==
        "step 100/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s  1m33s left");
  CHECK(format_progress(record(100), 200, 93, 25) == "step 100/200  loss 2.3456");
}

TEST_CASE("Only a terminal that can move its cursor is redrawn, and NO_COLOR turns colour off") {
  const Terminal plain = terminal_from(false, 0, "xterm", std::nullopt);
  CHECK_FALSE(plain.interactive);
  CHECK_FALSE(plain.color);
  CHECK(plain.width == 80);
  CHECK_FALSE(terminal_from(true, 120, "dumb", std::nullopt).interactive);
  CHECK_FALSE(terminal_from(true, 120, std::nullopt, std::nullopt).interactive);
  CHECK(terminal_from(true, 120, "xterm", std::nullopt).color);
  CHECK(terminal_from(true, 120, "xterm", "").color);
  CHECK_FALSE(terminal_from(true, 120, "xterm", "1").color);
  CHECK(terminal_from(true, 120, "xterm", "1").interactive);
  CHECK(terminal_from(true, 120, "xterm", "1").width == 120);
}

TEST_CASE("In a log every step is a line") {
  const std::string text = output({}, [](Display& display) {
    display.step(record(1));
    display.eval({1, 1, 0, 3});
    display.step(record(2));
  });
  CHECK(text ==
        "step   1/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s\n"
        "eval at step 1  loss 1.0000  accuracy 0.0% of 3\n"
        "step   2/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s\n");
}

TEST_CASE("On a terminal a step redraws one line, other lines push it up, and the last one stays") {
  const Terminal terminal{.interactive = true, .color = false, .width = 24};
  const std::string text = output(terminal, [](Display& display) {
    display.step(record(1));
    display.step(record(2));
    display.line("saved");
  });
  CHECK(text ==
        "\r\x1b[Kstep   1/200  loss 2.34\r"
        "\r\x1b[Kstep   2/200  loss 2.34\r"
        "\r\x1b[Kstep   2/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s\n"
        "saved\n");
}

TEST_CASE("The time left follows the pace of recent steps") {
  const Terminal terminal{.interactive = true, .color = false, .width = 140};
  const std::string text = output(terminal, [](Display& display) {
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
