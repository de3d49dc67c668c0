#include "summary.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cornstarch/base/text.h"
#include "cornstarch/config/load.h"
#include "cornstarch/telemetry/display.h"

namespace cornstarch::report {
namespace {

template <typename... Args>
std::string print(const char* format, Args... args) {
  char text[64];
  std::snprintf(text, sizeof text, format, args...);
  return text;
}

double sum_of(const Table& table, const char* key) {
  double sum = 0;
  if (const auto* column = table.find(key))
    for (const double value : *column) sum += std::isnan(value) ? 0 : value;
  return sum;
}

/// The row of the last value, the lowest or the highest; -1 where there is none.
std::ptrdiff_t last_row(const std::vector<double>& column) {
  for (auto row = std::ssize(column) - 1; row >= 0; --row)
    if (!std::isnan(column[static_cast<std::size_t>(row)])) return row;
  return -1;
}

std::ptrdiff_t best_row(const std::vector<double>& column, bool highest) {
  std::ptrdiff_t best = -1;
  for (std::ptrdiff_t row = 0; row < std::ssize(column); ++row) {
    const double value = column[static_cast<std::size_t>(row)];
    if (std::isnan(value)) continue;
    const double so_far = best < 0 ? value : column[static_cast<std::size_t>(best)];
    if (best < 0 || (highest ? value > so_far : value < so_far)) best = row;
  }
  return best;
}

/// "2026-11-27 14:50 UTC" of "2026-11-27T14:50:52.123Z".
std::string minute_of(const std::string& time) {
  return time.size() < 17 || time[10] != 'T' ? time
                                             : cat(time.substr(0, 10), " ", time.substr(11, 5), " UTC");
}

class Summary {
 public:
  explicit Summary(const Run& run) : run_(run) {}

  std::vector<std::pair<std::string, std::string>> make() {
    steps();
    value("loss, last step", run_.steps, "loss", last_row, "%.4f", 1);
    value(
        "held-out loss, lowest", run_.evals, "eval_loss", [](const auto& c) { return best_row(c, false); },
        "%.4f", 1);
    value(
        "held-out accuracy, highest", run_.evals, "eval_accuracy",
        [](const auto& c) { return best_row(c, true); }, "%.1f %%", 100);
    speed();
    for (const auto& [label, key] :
         {std::pair{"steps left out", "left_out"}, std::pair{"loss spikes", "spike"},
          std::pair{"samples skipped", "skipped_samples"}, std::pair{"recordings cut", "cut_recordings"},
          std::pair{"texts cut", "cut_texts"}})
      if (const double count = sum_of(run_.steps, key); count > 0) add(label, print("%.0f", count));
    add("began", minute_of(run_.first_time));
    add("last heard of", minute_of(run_.last_time));
    for (const auto& [label, text] : run_.facts) add(label, text);
    return std::move(out_);
  }

 private:
  void add(const std::string& label, const std::string& text) {
    if (!text.empty()) out_.emplace_back(label, text);
  }

  void steps() {
    std::string text = std::to_string(run_.steps.steps().back());
    for (const config::Change& key : config::changes("", run_.config))
      if (key.key == "steps" && key.after != text) text += " of " + key.after;
    add("steps", text);
  }

  template <typename Row>
  void value(const char* label, const Table& table, const char* key, const Row& row_of, const char* format,
             double scale) {
    const auto* column = table.find(key);
    const std::ptrdiff_t row = column == nullptr ? -1 : row_of(*column);
    if (row < 0) return;
    const auto at = static_cast<std::size_t>(row);
    std::string text = print(format, scale * (*column)[at]);
    if (&table == &run_.evals) text += cat(" at step ", table.steps()[at]);
    add(label, text);
  }

  void speed() {
    const double seconds = sum_of(run_.steps, "step_time_s"), tokens = sum_of(run_.steps, "tokens");
    if (seconds > 0) add("time of steps", telemetry::format_duration(seconds));
    if (tokens > 0) add("tokens", telemetry::format_count(tokens));
    if (seconds > 0 && tokens > 0) add("tokens a second", telemetry::format_count(tokens / seconds));
    if (const auto* mfu = run_.steps.find("mfu")) {
      const auto present = std::ranges::count_if(*mfu, [](double v) { return !std::isnan(v); });
      if (present > 0)
        add("MFU", print("%.1f %%", 100 * sum_of(run_.steps, "mfu") / static_cast<double>(present)));
    }
    double peak = 0;
    for (const Stage& stage : run_.stages) peak = std::max(peak, stage.peak_memory_bytes);
    if (peak > 0) add("peak memory of a rank", human_bytes(peak));
  }

  const Run& run_;
  std::vector<std::pair<std::string, std::string>> out_;
};

}  // namespace

std::vector<std::pair<std::string, std::string>> summary_of(const Run& run) { return Summary(run).make(); }

}  // namespace cornstarch::report
