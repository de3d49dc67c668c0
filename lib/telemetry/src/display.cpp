#include "cornstarch/telemetry/display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace cornstarch::telemetry {

namespace {

constexpr const char* kDim = "\x1b[2m";
constexpr const char* kRed = "\x1b[31m";
constexpr const char* kReset = "\x1b[0m";
constexpr const char* kEraseLine = "\r\x1b[K";

template <typename... Args>
std::string print(const char* format, Args... args) {
  char text[96];
  std::snprintf(text, sizeof text, format, args...);
  return text;
}

/// "loss 2.3456", the name dimmed, a value that is no number in red.
std::string field(const char* name, const std::string& text, double value, bool color) {
  if (!color) return print("%s ", name) + text;
  const std::string shown = std::isfinite(value) ? text : kRed + text + kReset;
  return kDim + std::string(name) + kReset + " " + shown;
}

std::string progress_bar(std::int64_t step, std::int64_t total, int columns) {
  const std::int64_t inside = columns - 2;
  const std::int64_t filled = total > 0 ? std::clamp<std::int64_t>(step * inside / total, 0, inside) : 0;
  std::string bar = "[";
  bar.append(static_cast<std::size_t>(filled), '=');
  if (filled < inside) bar += '>';
  bar.resize(static_cast<std::size_t>(inside + 1), ' ');
  return bar + "]";
}

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

}  // namespace

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  if (seconds < 9.995) return print("%.2fs", seconds);
  if (seconds < 59.95) return print("%.1fs", seconds);
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (whole < 3600) return print("%lldm%02llds", whole / 60, whole % 60);
  if (whole < 86400) return print("%lldh%02lldm", whole / 3600, whole / 60 % 60);
  return print("%lldd%02lldh", whole / 86400, whole / 3600 % 24);
}

std::string format_count(double value) {
  if (!std::isfinite(value)) return "?";
  if (value < 999.5) return print("%.0f", value);
  for (const char* unit : {"k", "M", "G"}) {
    value /= 1000;
    if (value < 9.995) return print("%.2f%s", value, unit);
    if (value < 99.95) return print("%.1f%s", value, unit);
    if (value < 999.5) return print("%.0f%s", value, unit);
  }
  return print("%.3gT", value / 1000);
}

std::string format_step(const StepRecord& record, std::int64_t total_steps, bool color) {
  const auto total = static_cast<long long>(total_steps);
  const int digits = print("%lld", total).size();
  std::string text = print("step %*lld/%lld", digits, static_cast<long long>(record.step), total);
  text += "  " + field("loss", print("%.4f", record.loss), record.loss, color);
  text += "  " + field("grad", print("%.3f", record.grad_norm), record.grad_norm, color);
  text += "  " + field("lr", print("%.2e", record.lr), record.lr, color);
  text += "  " + format_count(record.tokens_per_s) + " tok/s  " + format_duration(record.step_time_s);
  if (record.mfu) text += print("  mfu %.1f%%", 100 * *record.mfu);
  if (record.skipped_samples > 0) {
    text += print("  skipped %lld", static_cast<long long>(record.skipped_samples));
  }
  return text;
}

std::string format_eval(const EvalRecord& record, bool color) {
  std::string text = print("eval at step %lld", static_cast<long long>(record.step));
  text += "  " + field("loss", print("%.4f", record.loss), record.loss, color);
  text += "  " + field("accuracy", print("%.1f%%", 100 * record.accuracy), record.accuracy, color);
  return text + print(" of %lld", static_cast<long long>(record.samples));
}

std::string format_progress(const StepRecord& record, std::int64_t total_steps, double seconds_left,
                            int width) {
  const auto limit = static_cast<std::size_t>(std::max(width, 1));
  std::string text = format_step(record, total_steps) + "  " + format_duration(seconds_left) + " left";
  const auto spare = static_cast<std::int64_t>(limit) - static_cast<std::int64_t>(text.size()) - 1;
  if (spare >= 10) {
    text = progress_bar(record.step, total_steps, static_cast<int>(std::min<std::int64_t>(spare, 32))) + " " +
           text;
  }
  if (text.size() > limit) text.resize(limit);
  return text;
}

Terminal terminal_from(bool is_terminal, int width, const std::optional<std::string>& term,
                       const std::optional<std::string>& no_color) {
  Terminal terminal;
  terminal.interactive = is_terminal && term.value_or("dumb") != "dumb";
  terminal.color = terminal.interactive && no_color.value_or("").empty();
  terminal.width = width > 0 ? width : 80;
  return terminal;
}

Terminal detect_terminal(int descriptor) {
  const bool is_terminal = ::isatty(descriptor) == 1;
  winsize size{};
  if (is_terminal) ::ioctl(descriptor, TIOCGWINSZ, &size);
  return terminal_from(is_terminal, size.ws_col, environment("TERM"), environment("NO_COLOR"));
}

Display::Display(std::int64_t total_steps) : Display(total_steps, stderr, detect_terminal(STDERR_FILENO)) {}

Display::Display(std::int64_t total_steps, std::FILE* out, Terminal terminal)
    : total_steps_(total_steps), out_(out), terminal_(terminal) {}

void Display::step(const StepRecord& record) {
  if (!terminal_.interactive) {
    std::fprintf(out_, "%s\n", format_step(record, total_steps_).c_str());
    std::fflush(out_);
    return;
  }
  // One column stays free: some terminals wrap once the last one is written. The cursor goes back to the
  // start, so that whatever else is printed begins there.
  const std::string text = format_progress(record, total_steps_, seconds_left(record), terminal_.width - 1);
  std::fprintf(out_, "%s%s\r", kEraseLine, text.c_str());
  std::fflush(out_);
  shown_ = record;
}

void Display::eval(const EvalRecord& record) { line(format_eval(record, terminal_.color)); }

void Display::line(std::string_view text) {
  finish();
  std::fprintf(out_, "%.*s\n", static_cast<int>(text.size()), text.data());
  std::fflush(out_);
}

void Display::finish() {
  if (!shown_) return;
  std::fprintf(out_, "%s%s\n", kEraseLine, format_step(*shown_, total_steps_, terminal_.color).c_str());
  std::fflush(out_);
  shown_.reset();
}

/// The mean leans to recent steps: the first is often slow, and a shared machine changes its pace.
double Display::seconds_left(const StepRecord& record) {
  mean_step_s_ = mean_step_s_ == 0 ? record.step_time_s : 0.9 * mean_step_s_ + 0.1 * record.step_time_s;
  return mean_step_s_ * static_cast<double>(std::max<std::int64_t>(total_steps_ - record.step, 0));
}

}  // namespace cornstarch::telemetry
