#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cornstarch/base/console.h"
#include "cornstarch/telemetry/metrics.h"

/// What a person sees of a run: dense lines of steps, and on a terminal a progress line that is redrawn in
/// place.
namespace cornstarch::telemetry {

/// "0.52s", "12.3s", "3m05s", "1h02m", "2d03h".
std::string format_duration(double seconds);

/// "812", "3.21k", "1.50M".
std::string format_count(double value);

/// step  20/200  loss 2.3456  grad 1.234  lr 1.00e-03  3.21k tok/s  0.52s
std::string format_step(const StepRecord& record, std::int64_t total_steps, bool color = false);

/// eval at step 100  loss 0.4321  accuracy 93.8% of 512
std::string format_eval(const EvalRecord& record, bool color = false);

/// [=====>    ] step  20/200  ...  1m33s left, of at most `width` columns: the bar goes first, then whole
/// fields, those that matter least first.
std::string format_progress(const StepRecord& record, std::int64_t total_steps, double seconds_left,
                            int width);

/// How often a step is a line where lines cannot be redrawn, and in the log.
struct LinePace {
  std::int64_t steps = 0;  ///< every so many; 0: as time goes
  double seconds = 10;     ///< then at most one line in so many
};

class Display {
 public:
  /// For rank 0. The first step and the last have their lines, and whichever comes before another line.
  Display(std::int64_t total_steps, LinePace pace, Console& console = cornstarch::console());
  Display(const Display&) = delete;
  Display& operator=(const Display&) = delete;
  ~Display() { finish(); }

  void step(const StepRecord& record);
  void eval(const EvalRecord& record);
  /// Any other line, behind the last step's.
  void line(std::string_view text);
  /// Leaves the last step standing as an ordinary line.
  void finish();

 private:
  bool due(const StepRecord& record) const;
  void write_down();
  double seconds_left(const StepRecord& record);

  using Clock = std::chrono::steady_clock;
  std::int64_t total_steps_;
  LinePace pace_;
  Console& console_;
  double mean_step_s_ = 0;
  std::optional<StepRecord> latest_;  ///< until it stands
  bool written_ = false;              ///< it has its line in the log or the stream
  std::optional<Clock::time_point> last_line_;
};

}  // namespace cornstarch::telemetry
