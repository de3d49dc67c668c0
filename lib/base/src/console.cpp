#include "cornstarch/base/console.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "cornstarch/base/text.h"

namespace cornstarch {
namespace {

constexpr std::string_view kEraseLine = "\r\x1b[K";
/// Of what is said before there is a log.
constexpr std::size_t kMostBeforeLog = std::size_t{1} << 20;

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::string whole(std::string_view lines) {
  std::string text(lines);
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

/// At most so many bytes, no character of UTF-8 in halves.
std::string_view cut(std::string_view text, std::size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

std::string without_colors(std::string_view text) {
  std::string out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t escape = std::min(text.find("\x1b[", begin), text.size());
    out += text.substr(begin, escape - begin);
    begin = escape == text.size() ? escape : std::min(text.find('m', escape), text.size() - 1) + 1;
  }
  return out;
}

}  // namespace

Terminal terminal_from(bool is_terminal, int width, const std::optional<std::string>& columns,
                       const std::optional<std::string>& term, const std::optional<std::string>& no_color) {
  Terminal terminal;
  terminal.interactive = is_terminal && term.value_or("dumb") != "dumb";
  terminal.color = terminal.interactive && no_color.value_or("").empty();
  const int wished = columns ? std::atoi(columns->c_str()) : 0;
  if (wished > 0) width = wished;
  terminal.width = width > 0 ? width : 80;
  return terminal;
}

Terminal detect_terminal(int descriptor) {
  const bool is_terminal = ::isatty(descriptor) == 1;
  winsize size{};
  if (is_terminal) ::ioctl(descriptor, TIOCGWINSZ, &size);
  return terminal_from(is_terminal, size.ws_col, environment("COLUMNS"), environment("TERM"),
                       environment("NO_COLOR"));
}

Console::~Console() {
  if (log_ >= 0) ::close(log_);
}

Terminal Console::terminal() const { return given_ ? *given_ : detect_terminal(descriptor_); }

void Console::say(std::string_view lines, log::Level level) {
  const std::lock_guard lock(mutex_);
  const std::string text = whole(lines);
  keep(text);
  if (level < level_) return;
  write(shown_.empty() ? text : cat(kEraseLine, text, shown_, "\r"));
}

void Console::note(std::string_view lines) {
  const std::lock_guard lock(mutex_);
  keep(whole(lines));
}

void Console::show(std::string_view line) {
  const std::lock_guard lock(mutex_);
  if (line.empty() && shown_.empty()) return;
  const Terminal now = terminal();
  if (!now.interactive || level_ > log::Level::info) return;
  // One column stays free: some terminals wrap once the last one is written. The cursor goes back to the
  // start, so that what others write to the terminal begins there.
  shown_ = cut(line, static_cast<std::size_t>(now.width - 1));
  write(cat(kEraseLine, shown_, shown_.empty() ? "" : "\r"));
}

void Console::leave(std::string_view line) {
  const std::lock_guard lock(mutex_);
  if (level_ > log::Level::info) return;
  write(cat(kEraseLine, line, "\n"));
  shown_.clear();
}

std::chrono::duration<double> Console::silence() const {
  const std::lock_guard lock(mutex_);
  return Clock::now() - last_;
}

Result<void> Console::keep_log(const std::filesystem::path& path) {
  const std::lock_guard lock(mutex_);
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return fail(ExitCode::io, cat("cannot open '", path.string(), "': ", std::strerror(errno)));
  if (log_ >= 0) ::close(log_);
  log_ = file;
  log_path_ = path;
  cut_short_ = false;
  keep_in_log(std::exchange(before_log_, {}));
  return {};
}

void Console::write(std::string_view text) {
  last_ = Clock::now();
  if (!gone_) gone_ = !write_all(descriptor_, text);
}

void Console::keep(std::string_view lines) {
  const std::string plain = without_colors(lines);
  if (log_ >= 0) {
    keep_in_log(plain);
  } else if (before_log_.size() + plain.size() <= kMostBeforeLog) {
    before_log_ += plain;
  }
}

/// A log that cannot be written has a gap.
void Console::keep_in_log(std::string_view lines) {
  const bool kept = write_all(log_, cut_short_ ? cat("\n", lines) : std::string(lines));
  cut_short_ = !kept;
  if (kept) return;
  if (lost_ == 0)
    write(cat(shown_.empty() ? "" : kEraseLine, "warning: cannot write '", log_path_.string(),
              "': ", std::strerror(errno), "; what follows is missing there\n"));
  lost_ += std::count(lines.begin(), lines.end(), '\n');
}

std::int64_t Console::lost_log_lines() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

Console& console() {
  // Never destroyed: threads may speak while the program ends.
  static Console& instance = *new Console(STDERR_FILENO);
  return instance;
}

}  // namespace cornstarch
