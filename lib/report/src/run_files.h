#pragma once

#include <string>

#include "cornstarch/report/run.h"

/// Each takes the text of one of a run's files; `name` is what notes call the file.
namespace cornstarch::report {

/// metrics.jsonl, whatever keys its lines have.
void read_metrics(const std::string& text, const std::string& name, Run& run);
/// answers.jsonl: answers to held-out questions, of each measurement.
void read_answers(const std::string& text, const std::string& name, Run& run);
/// trace.json: of each rank what it did, but for transfers; what is too short to be seen is taken together.
void read_trace(const std::string& text, const std::string& name, Run& run);
/// versions.json and plan.json: what of them is told of a run.
void read_versions(const std::string& text, const std::string& name, Run& run);
void read_plan(const std::string& text, const std::string& name, Run& run);

}  // namespace cornstarch::report
