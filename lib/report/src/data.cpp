#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "cornstarch/base/text.h"
#include "cornstarch/config/load.h"
#include "cornstarch/report/page.h"
#include "series.h"
#include "summary.h"

namespace cornstarch::report {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostQuestions = 24, kMostAnswersOfEach = 8;

Json numbers(const std::vector<double>& values) {
  Json out = Json::array();
  for (const double value : values) out.push_back(std::isnan(value) ? Json(nullptr) : Json(rounded(value)));
  return out;
}

/// What a curve can be drawn over: the last of each point's steps, with tokens and seconds so far.
Json axes_of(const Table& table, std::size_t per) {
  const std::vector<double>*tokens = table.find("tokens"), *seconds = table.find("step_time_s");
  double tokens_so_far = 0, seconds_so_far = 0;
  Json axes = {{"step", Json::array()}};
  const auto add = [](double& so_far, const std::vector<double>* column, std::size_t row) {
    if (column != nullptr && !std::isnan((*column)[row])) so_far += (*column)[row];
  };
  for (std::size_t row = 0; row < table.steps().size(); ++row) {
    add(tokens_so_far, tokens, row);
    add(seconds_so_far, seconds, row);
    if ((row + 1) % per != 0 && row + 1 != table.steps().size()) continue;
    axes["step"].push_back(table.steps()[row]);
    if (tokens != nullptr) axes["tokens"].push_back(rounded(tokens_so_far));
    if (seconds != nullptr) axes["time"].push_back(rounded(seconds_so_far));
  }
  return axes;
}

Json table_json(const Table& table, std::size_t points) {
  const std::size_t per = rows_per_point(table.steps().size(), points);
  Json series = Json::object();
  const auto add = [&](const std::string& key, const std::vector<double>& column) {
    const Points taken = points_of(column, per);
    series[key] = {{"mean", numbers(taken.mean)}};
    if (per == 1) return;
    series[key]["low"] = numbers(taken.low);
    series[key]["high"] = numbers(taken.high);
  };
  for (const Table::Column& column : table.columns()) add(column.key, column.values);
  const std::vector<double>*flops = table.find("model_flops"), *seconds = table.find("step_time_s");
  if (flops != nullptr && seconds != nullptr) {
    std::vector<double> rate(flops->size());
    std::ranges::transform(*flops, *seconds, rate.begin(),
                           [](double f, double s) { return s > 0 ? f / s : kNone; });
    add("model_flops_per_s", rate);
  }
  return {{"per", per}, {"axes", axes_of(table, per)}, {"series", std::move(series)}};
}

Json stages_json(const std::vector<Stage>& stages) {
  Json out = Json::array();
  for (const Stage& stage : stages)
    out.push_back({{"name", stage.name},
                   {"compute_s", rounded(stage.compute_s)},
                   {"bubble_s", rounded(stage.bubble_s)},
                   {"communication_s", rounded(stage.communication_s)},
                   {"peak_memory_bytes", stage.peak_memory_bytes}});
  return out;
}

Json tracks_json(const std::vector<Track>& tracks) {
  Json out = Json::array();
  for (const Track& track : tracks) {
    Json stretches = Json::array();
    for (const Track::Stretch& s : track.stretches)
      stretches.push_back({s.name, s.activity, rounded(s.begin_s), rounded(s.end_s - s.begin_s), s.spans});
    out.push_back({{"name", track.name}, {"stretches", std::move(stretches)}});
  }
  return out;
}

/// So many of them, evenly, the last one among them.
std::vector<std::int64_t> some_of(const std::set<std::int64_t>& all, std::size_t most) {
  const std::vector<std::int64_t> from(all.begin(), all.end());
  std::vector<std::int64_t> out;
  const std::size_t n = std::min(from.size(), most);
  for (std::size_t i = 1; i <= n; ++i) out.push_back(from[i * from.size() / n - 1]);
  return out;
}

/// Question by question, what was answered at which step.
Json answers_json(const Run& run, Json& notes) {
  std::set<std::int64_t> steps;
  for (const Answer& answer : run.answers) steps.insert(answer.step);
  const std::vector<std::int64_t> shown = some_of(steps, kMostAnswersOfEach);
  Json out = Json::array();
  std::set<std::string> left_out;
  for (const Answer& answer : run.answers) {
    auto entry = std::ranges::find_if(
        out, [&](const Json& e) { return e["sample"] == answer.sample && e["question"] == answer.question; });
    if (entry == out.end()) {
      if (out.size() == kMostQuestions) {
        left_out.insert(answer.sample + answer.question);
        continue;
      }
      out.push_back({{"sample", answer.sample},
                     {"question", answer.question},
                     {"right", answer.right},
                     {"answers", Json::array()}});
      entry = out.end() - 1;
    }
    if (!std::ranges::binary_search(shown, answer.step)) continue;
    Json said = {{"step", answer.step}, {"answer", answer.answer}};
    if (answer.exact_match) said["exact_match"] = *answer.exact_match;
    if (answer.cut_off) said["cut_off"] = true;
    if (answer.f1) said["f1"] = rounded(*answer.f1);
    (*entry)["answers"].push_back(std::move(said));
  }
  if (!left_out.empty())
    notes.push_back(cat("answers to ", left_out.size(), " more questions are in answers.jsonl"));
  if (shown.size() < steps.size())
    notes.push_back(cat("answers of ", steps.size() - shown.size(), " more steps are in answers.jsonl"));
  return out;
}

/// The last name of each folder, with as many above it as it takes to tell them apart.
std::vector<std::string> names_of(const std::vector<Run>& runs) {
  std::vector<std::vector<std::string>> parts;
  for (const Run& run : runs) {
    parts.emplace_back();
    for (const auto& part : std::filesystem::absolute(run.folder).lexically_normal())
      if (!part.empty() && part != "/") parts.back().push_back(part.string());
  }
  for (std::size_t depth = 1;; ++depth) {
    std::vector<std::string> names;
    bool more = false;
    for (const auto& all : parts) {
      const std::size_t n = std::min(depth, all.size());
      more = more || n < all.size();
      names.push_back(join({all.end() - static_cast<std::ptrdiff_t>(n), all.end()}, "/"));
    }
    if (!more || std::set(names.begin(), names.end()).size() == names.size()) return names;
  }
}

/// Keys of the configs that are not the same in all runs; nothing where a run has no config.
Json differences(const std::vector<Run>& runs) {
  std::vector<std::string> keys;
  std::vector<std::map<std::string, std::string>> values;
  for (const Run& run : runs) {
    values.emplace_back();
    for (const config::Change& each : config::changes("", run.config)) {
      if (values.back().emplace(each.key, each.after).second &&
          std::ranges::find(keys, each.key) == keys.end())
        keys.push_back(each.key);
    }
  }
  std::erase_if(values, [](const auto& of_run) { return of_run.empty(); });
  if (values.size() < runs.size()) return Json::array();
  Json out = Json::array();
  for (const std::string& key : keys) {
    Json row = Json::array();
    for (auto& of_run : values) row.push_back(of_run[key]);
    if (std::ranges::any_of(row, [&](const Json& value) { return value != row.front(); }))
      out.push_back({{"key", key}, {"values", std::move(row)}});
  }
  return out;
}

Json run_json(const Run& run, const std::string& name, std::size_t points) {
  Json summary = Json::object();
  for (const auto& [label, text] : summary_of(run)) summary[label] = text;
  Json notes = run.notes;
  Json answers = answers_json(run, notes);
  return {{"name", name},
          {"folder", run.folder.string()},
          {"summary", std::move(summary)},
          {"notes", std::move(notes)},
          {"steps", table_json(run.steps, points)},
          {"evals", table_json(run.evals, points)},
          {"stages", stages_json(run.stages)},
          {"tracks", tracks_json(run.tracks)},
          {"answers", std::move(answers)},
          {"config", run.config}};
}

}  // namespace

std::string data_of(const std::vector<Run>& runs, const PageOptions& options) {
  Json data = {{"made_by", options.made_by}, {"runs", Json::array()}, {"differences", differences(runs)}};
  const std::vector<std::string> names = names_of(runs);
  for (std::size_t i = 0; i < runs.size(); ++i)
    data["runs"].push_back(run_json(runs[i], names[i], options.points));
  return data.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cornstarch::report
