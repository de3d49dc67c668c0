#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "cornstarch/telemetry/metrics.h"

/// What a person sees of a run: one dense line per step, or on a terminal one progress line that is redrawn
/// in place.
namespace cornstarch::telemetry {

/// "0.52s", "12.3s", "3m05s", "1h02m", "2d03h".
std::string format_duration(double seconds);

/// "812", "3.21k", "1.50M".
std::string format_count(double value);

/// step  20/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s
std::string format_step(const StepRecord& record, std::int64_t total_steps, bool color = false);

/// eval at step 100  loss 0.4321  accuracy 93.8% of 512
std::string format_eval(const EvalRecord& record, bool color = false);

/// [=====>    ] step  20/200  ...  1m33s left, cut to `width` columns: the bar goes first, then the end of
/// the text.
std::string format_progress(const StepRecord& record, std::int64_t total_steps, double seconds_left,
                            int width);

/// What the stream that we write to can show.
struct Terminal {
  bool interactive = false;  ///< lines can be redrawn
  bool color = false;
  int width = 80;
};

/// For a file descriptor: interactive is a terminal whose TERM is not "dumb"; color is that without NO_COLOR.
Terminal detect_terminal(int descriptor);
/// The same from facts, for tests. An empty NO_COLOR counts as unset (no-color.org).
Terminal terminal_from(bool is_terminal, int width, const std::optional<std::string>& term,
                       const std::optional<std::string>& no_color);

class Display {
 public:
  /// For rank 0; writes to stderr, where the log goes too, so that both stay in order.
  explicit Display(std::int64_t total_steps);
  Display(std::int64_t total_steps, std::FILE* out, Terminal terminal);
  Display(const Display&) = delete;
  Display& operator=(const Display&) = delete;
  ~Display() { finish(); }

  void step(const StepRecord& record);
  void eval(const EvalRecord& record);
  /// Any other line, kept clear of the progress line.
  void line(std::string_view text);
  /// Leaves the last progress line standing as an ordinary line.
  void finish();

 private:
  double seconds_left(const StepRecord& record);

  std::int64_t total_steps_;
  std::FILE* out_;
  Terminal terminal_;
  double mean_step_s_ = 0;
  std::optional<StepRecord> shown_;  ///< the record that the progress line shows
};

}  // namespace cornstarch::telemetry
