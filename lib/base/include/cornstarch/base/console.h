#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "cornstarch/base/log.h"
#include "cornstarch/base/result.h"

namespace cornstarch {

/// What the stream that we write to can show.
struct Terminal {
  bool interactive = false;  ///< lines can be redrawn
  bool color = false;
  int width = 80;
};

/// From facts: interactive is a terminal whose TERM is not "dumb"; color is that without NO_COLOR, of which
/// an empty one counts as unset (no-color.org). `columns` (COLUMNS) goes before the width that the terminal
/// tells.
Terminal terminal_from(bool is_terminal, int width, const std::optional<std::string>& columns,
                       const std::optional<std::string>& term, const std::optional<std::string>& no_color);
Terminal detect_terminal(int descriptor);

/// What this process says to a person: whole lines and, on a terminal, one line below them that is redrawn in
/// place. A stream whose reader has gone is written to no more, and nothing else happens: the process must
/// ignore SIGPIPE for that. Any thread may call; nothing is buffered.
class Console {
 public:
  explicit Console(int descriptor) : descriptor_(descriptor) {}
  Console(int descriptor, Terminal terminal) : descriptor_(descriptor), given_(terminal) {}
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;
  ~Console();

  /// Asked anew each time: terminals change their width.
  Terminal terminal() const;

  /// What is less than this stands in the log only.
  void set_level(log::Level level) { level_ = level; }
  /// One or several lines, without or with the last newline.
  void say(std::string_view lines, log::Level level = log::Level::info);
  /// In the log only.
  void note(std::string_view lines);
  /// The line to be redrawn, cut to the terminal's width; "" takes it away. Elsewhere nothing.
  void show(std::string_view line);
  /// Leaves this line standing in its place, not in the log.
  void leave(std::string_view line);
  /// Since anything was last said or shown; at first, since the console was made.
  std::chrono::duration<double> silence() const;

  /// From now on every line goes to the end of this file, too, without colours; first those said so far.
  Result<void> keep_log(const std::filesystem::path& path);
  /// Lines that the log could not take, as on a full disk. The first of them is said.
  std::int64_t lost_log_lines() const;

 private:
  void write(std::string_view text);
  void keep(std::string_view lines);
  void keep_in_log(std::string_view lines);

  using Clock = std::chrono::steady_clock;
  int descriptor_;
  std::optional<Terminal> given_;
  std::atomic<log::Level> level_{log::Level::info};
  mutable std::mutex mutex_;
  bool gone_ = false;       ///< nobody reads any more
  std::string shown_;       ///< the line that is redrawn
  std::string before_log_;  ///< what was said while there was no log
  int log_ = -1;
  std::filesystem::path log_path_;
  std::int64_t lost_ = 0;   ///< lines of the log
  bool cut_short_ = false;  ///< a part of a line may stand at the log's end
  Clock::time_point last_ = Clock::now();
};

/// Of the process: stderr.
Console& console();

}  // namespace cornstarch
