#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cornstarch/base/result.h"

/// Run folders read back, of this program's version or another's, and a page that shows them.
namespace cornstarch::report {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// Numbers that were measured together: a row for each step, which ascends, a column for each key.
class Table {
 public:
  struct Column {
    std::string key;             ///< as metrics.jsonl has it; "a.b" for what stands inside of `a`
    std::vector<double> values;  ///< kNone where there is none, and where it was no finite number
  };

  /// A row for `step`. Rows of this step and later ones go: a run that goes on from a checkpoint has its own.
  void begin_row(std::int64_t step);
  /// In the row that was begun last.
  void set(const std::string& key, double value);

  const std::vector<std::int64_t>& steps() const { return steps_; }
  const std::vector<Column>& columns() const { return columns_; }
  /// Nothing where no row has it.
  const std::vector<double>* find(const std::string& key) const;
  std::int64_t rewound() const { return rewound_; }  ///< rows that went

 private:
  std::vector<std::int64_t> steps_;
  std::vector<Column> columns_;
  std::int64_t rewound_ = 0;
};

/// Where the time of a stage's ranks went, in seconds of a step: means over ranks and steps.
struct Stage {
  std::string name;  ///< "llm stage 1"
  double compute_s = 0, bubble_s = 0, communication_s = 0;
  double peak_memory_bytes = 0;
  std::int64_t steps = 0;  ///< that it was measured in
};

/// What a rank did in the steps that were traced.
struct Track {
  struct Stretch {
    std::string name, activity;
    double begin_s = 0, end_s = 0;  ///< since the trace began
    int spans = 1;                  ///< that it stands for
  };
  std::string name;  ///< "rank 3: llm stage 1, dp 0, tp 0"
  std::vector<Stretch> stretches;
};

/// What the model said to a held-out question.
struct Answer {
  std::int64_t step = 0;
  std::string sample, question, answer;
  std::vector<std::string> right;
  std::optional<double> exact_match, f1;  ///< 0..1
  bool cut_off = false;                   ///< it had more to say
};

struct Run {
  std::filesystem::path folder;
  Table steps, evals;
  std::vector<Stage> stages;
  std::vector<Answer> answers;
  std::vector<Track> tracks;
  std::string first_time, last_time;                       ///< of its lines, UTC; "" where they have none
  std::string config;                                      ///< config.yaml; "" where there is none
  std::vector<std::pair<std::string, std::string>> facts;  ///< "ranks", "8": of versions.json and plan.json
  std::vector<std::string> notes;  ///< what could not be shown, each with file and line
};

/// What a run folder holds, finished or not. What is odd in it is noted, what is missing is left out. Errors:
/// missing_input where there is no such folder or no metrics.jsonl in it, bad_data where that has no step.
Result<Run> read_run(const std::filesystem::path& folder);

}  // namespace cornstarch::report
