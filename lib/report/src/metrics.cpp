#include <algorithm>

#include "cornstarch/base/text.h"
#include "json_lines.h"
#include "run_files.h"

namespace cornstarch::report {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostColumns = 200;

class Reader {
 public:
  Reader(const std::string& name, Run& run) : name_(name), run_(run), odd_(run.notes, name) {}

  void read(const Json& line, const std::string& place) {
    const auto step = line.find("step");
    if (step == line.end()) return odd_.add(place, "there is no 'step': the line was left out");
    if (!step->is_number_integer())
      return odd_.add(place,
                      cat("'step' is no whole number but ", kind_of(*step), ": the line was left out"));
    table_ = is_eval(line) ? &run_.evals : &run_.steps;
    table_->begin_row(step->get<std::int64_t>());
    for (const auto& [key, value] : line.items())
      if (key != "step") take(key, value, place);
  }

  void finish() {
    if (run_.steps.rewound() > 0)
      run_.notes.push_back(cat(name_, ": ", run_.steps.rewound(),
                               " steps are there more than once: those that were written last count"));
    if (too_many_ > 0)
      run_.notes.push_back(cat(name_, ": more than ", kMostColumns, " keys; values of others were left out"));
    for (Stage& stage : run_.stages) {
      const auto n = static_cast<double>(std::max<std::int64_t>(stage.steps, 1));
      stage.compute_s /= n, stage.bubble_s /= n, stage.communication_s /= n;
    }
  }

 private:
  static bool is_eval(const Json& line) {
    for (const auto& [key, value] : line.items())
      if (key.starts_with("eval_")) return true;
    return false;
  }

  void take(const std::string& key, const Json& value, const std::string& place) {
    if (key == "time" && value.is_string()) return take_time(value.get<std::string>());
    if (key == "previous_step" && value.is_array()) return take_stages(value, place);
    if (value.is_object()) {
      for (const auto& [inner, number] : value.items()) take(cat(key, ".", inner), number, place);
    } else if (value.is_number() || value.is_boolean() || value.is_null()) {
      set(key, value.is_number() ? value.get<double>() : value.is_boolean() && value.get<bool>() ? 1 : kNone);
    } else {
      odd_.add(place, cat("'", key, "' is no number but ", kind_of(value), ": it was left out"));
    }
  }

  void set(const std::string& key, double value) {
    if (table_->find(key) == nullptr && table_->columns().size() >= kMostColumns) {
      ++too_many_;
    } else {
      table_->set(key, value);
    }
  }

  void take_time(const std::string& time) {
    if (run_.first_time.empty()) run_.first_time = time;
    run_.last_time = time;
  }

  void take_stages(const Json& stages, const std::string& place) {
    double peak = 0;
    for (const Json& each : stages) {
      if (!each.is_object() || !each.contains("stage") || !each["stage"].is_string())
        return odd_.add(place, "'previous_step' holds what is no stage: it was left out");
      Stage& stage = stage_of(each["stage"].get<std::string>());
      const auto number = [&](const char* key) {
        const auto found = each.find(key);
        return found != each.end() && found->is_number() ? found->get<double>() : 0;
      };
      stage.compute_s += number("compute_s");
      stage.bubble_s += number("bubble_s");
      stage.communication_s += number("communication_s");
      stage.peak_memory_bytes = std::max(stage.peak_memory_bytes, number("peak_memory_bytes"));
      peak = std::max(peak, stage.peak_memory_bytes);
      ++stage.steps;
    }
    if (peak > 0) set("peak_memory_bytes", peak);
  }

  Stage& stage_of(const std::string& name) {
    const auto found = std::ranges::find(run_.stages, name, &Stage::name);
    return found != run_.stages.end() ? *found : run_.stages.emplace_back(Stage{name});
  }

  const std::string& name_;
  Run& run_;
  Noted odd_;
  Table* table_ = nullptr;
  std::int64_t too_many_ = 0;
};

}  // namespace

void read_metrics(const std::string& text, const std::string& name, Run& run) {
  Reader reader(name, run);
  for_each_line(text, name, run.notes,
                [&](const Json& line, const std::string& place) { reader.read(line, place); });
  reader.finish();
}

}  // namespace cornstarch::report
