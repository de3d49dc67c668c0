#include "cornstarch/telemetry/display.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "cornstarch/base/text.h"

namespace cornstarch::telemetry {

namespace {

constexpr const char* kDim = "\x1b[2m";
constexpr const char* kRed = "\x1b[31m";
constexpr const char* kReset = "\x1b[0m";

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

/// A field of a step's line. Where there is no room for all, those that matter least go.
struct Field {
  int matters = 0;
  std::string text;
};

std::vector<Field> fields_of(const StepRecord& record, std::int64_t total_steps, bool color) {
  const auto total = static_cast<long long>(total_steps);
  const int digits = static_cast<int>(print("%lld", total).size());
  std::vector<Field> fields = {
      {9, print("step %*lld/%lld", digits, static_cast<long long>(record.step), total)},
      {8, field("loss", print("%.4f", record.loss), record.loss, color)},
      {2, field("grad", print("%.3f", record.grad_norm), record.grad_norm, color)},
      {1, field("lr", print("%.2e", record.lr), record.lr, color)},
      {4, format_count(record.tokens_per_s) + " tok/s"},
      {5, format_duration(record.step_time_s)}};
  if (record.mfu) fields.push_back({3, print("mfu %.1f%%", 100 * *record.mfu)});
  if (record.left_out) fields.push_back({7, "left out"});
  if (record.skipped_samples > 0)
    fields.push_back({6, print("skipped %lld", static_cast<long long>(record.skipped_samples))});
  return fields;
}

std::string line_of(const std::vector<Field>& fields) {
  std::vector<std::string> texts;
  for (const Field& f : fields) texts.push_back(f.text);
  return join(texts, "  ");
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
  return line_of(fields_of(record, total_steps, color));
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
  std::vector<Field> fields = fields_of(record, total_steps, false);
  fields.push_back({7, format_duration(seconds_left) + " left"});
  std::string text = line_of(fields);
  while (text.size() > limit && fields.size() > 1) {
    fields.erase(std::ranges::min_element(fields, {}, &Field::matters));
    text = line_of(fields);
  }
  const auto spare = static_cast<std::int64_t>(limit) - static_cast<std::int64_t>(text.size()) - 1;
  if (fields.size() > 6 && spare >= 10) {
    text = progress_bar(record.step, total_steps, static_cast<int>(std::min<std::int64_t>(spare, 32))) + " " +
           text;
  }
  if (text.size() > limit) text.resize(limit);
  return text;
}

Display::Display(std::int64_t total_steps, LinePace pace, Console& console)
    : total_steps_(total_steps), pace_(pace), console_(console) {}

void Display::step(const StepRecord& record) {
  const Terminal terminal = console_.terminal();
  if (terminal.interactive)
    console_.show(format_progress(record, total_steps_, seconds_left(record), terminal.width - 1));
  latest_ = record;
  written_ = false;
  if (due(record)) write_down();
}

void Display::write_down() {
  const std::string text = format_step(*latest_, total_steps_);
  console_.terminal().interactive ? console_.note(text) : console_.say(text);
  written_ = true;
  last_line_ = Clock::now();
}

bool Display::due(const StepRecord& record) const {
  if (!last_line_ || record.step == total_steps_) return true;
  if (pace_.steps > 0) return record.step % pace_.steps == 0;
  return std::chrono::duration<double>(Clock::now() - *last_line_).count() >= pace_.seconds;
}

void Display::eval(const EvalRecord& record) { line(format_eval(record, console_.terminal().color)); }

void Display::line(std::string_view text) {
  finish();
  console_.say(text);
}

void Display::finish() {
  if (!latest_) return;
  if (!written_) write_down();
  const Terminal terminal = console_.terminal();
  if (terminal.interactive) console_.leave(format_step(*latest_, total_steps_, terminal.color));
  latest_.reset();
}

/// The mean leans to recent steps: the first is often slow, and a shared machine changes its pace.
double Display::seconds_left(const StepRecord& record) {
  mean_step_s_ = mean_step_s_ == 0 ? record.step_time_s : 0.9 * mean_step_s_ + 0.1 * record.step_time_s;
  return mean_step_s_ * static_cast<double>(std::max<std::int64_t>(total_steps_ - record.step, 0));
}

}  // namespace cornstarch::telemetry
