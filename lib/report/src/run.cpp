#include "cornstarch/report/run.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "run_files.h"

namespace cornstarch::report {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// What people may be shown of a text of key and value; what is no such text is noted.
void read_facts(const std::string& text, const std::string& name,
                const std::vector<std::pair<const char*, const char*>>& wanted, Run& run) {
  const Json from = Json::parse(text, nullptr, false);
  if (!from.is_object()) {
    run.notes.push_back(cat(name, ": it is no JSON object and was left out"));
    return;
  }
  for (const auto& [key, label] : wanted) {
    const auto found = from.find(key);
    if (found == from.end() || found->is_structured() || found->is_null()) continue;
    run.facts.emplace_back(label, found->is_string() ? found->get<std::string>() : found->dump());
  }
}

struct File {
  const char* name;
  void (*read)(const std::string& text, const std::string& name, Run& run);
};

constexpr std::array kOthers = {File{"versions.json", read_versions}, File{"plan.json", read_plan},
                                File{"answers.jsonl", read_answers}, File{"trace.json", read_trace}};

tl::unexpected<Error> no_run(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder, ignored))
    return fail(ExitCode::missing_input, cat("there is no folder '", folder.string(), "'"),
                "give the run_dir of a run");
  if (!fs::is_directory(folder, ignored))
    return fail(ExitCode::missing_input, cat("'", folder.string(), "' is no folder"),
                "give the run_dir of a run");
  std::vector<std::string> inside;
  for (const fs::directory_entry& each : fs::directory_iterator(folder, ignored))
    if (fs::exists(each.path() / "metrics.jsonl", ignored)) inside.push_back(each.path().string());
  std::sort(inside.begin(), inside.end());
  if (inside.size() > 3) inside.resize(3), inside.emplace_back("...");
  return fail(
      ExitCode::missing_input, cat("'", folder.string(), "' holds no run: there is no metrics.jsonl in it"),
      inside.empty() ? "give the run_dir of a run" : cat("there are runs in it: ", join(inside, ", ")));
}

}  // namespace

void read_versions(const std::string& text, const std::string& name, Run& run) {
  read_facts(text, name,
             {{"cornstarch-train", "version"},
              {"ranks", "ranks"},
              {"gpu", "GPU"},
              {"processor", "processor"},
              {"host", "host"},
              {"launcher", "launcher"}},
             run);
}

void read_plan(const std::string& text, const std::string& name, Run& run) {
  read_facts(text, name,
             {{"layout", "layout"}, {"ranks_per_replica", "ranks per replica"}, {"dp", "replicas"}}, run);
}

Result<Run> read_run(const fs::path& folder) {
  const fs::path metrics = folder / "metrics.jsonl";
  std::error_code ignored;
  if (!fs::exists(metrics, ignored)) return no_run(folder);
  const auto text = read_file(metrics, std::size_t{4} << 30);
  if (!text) return tl::unexpected(text.error());
  Run run;
  run.folder = folder;
  read_metrics(*text, metrics.string(), run);
  if (run.steps.steps().empty())
    return fail(
        ExitCode::bad_data,
        cat(metrics.string(), ": there is no step in it", run.notes.empty() ? "" : "; " + run.notes.front()),
        "a run writes one line a step: has it begun to train?");
  for (const File& each : kOthers) {
    const fs::path file = folder / each.name;
    if (!fs::exists(file, ignored)) continue;
    if (const auto content = read_file(file)) {
      each.read(*content, file.string(), run);
    } else {
      run.notes.push_back(content.error().message);
    }
  }
  if (auto config = read_file(folder / "config.yaml", std::size_t{64} << 20)) run.config = std::move(*config);
  return run;
}

}  // namespace cornstarch::report
