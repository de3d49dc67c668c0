#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cornstarch/base/exit_codes.h"
#include "options.h"

namespace cornstarch::app {

/// What a verb does once its options are parsed.
using Run = std::function<ExitCode()>;

/// A verb declares its options and gives back what to run with them.
struct Verb {
  const char* name;
  const char* summary;
  const char* examples;
  Run (*declare)(Options& options);
};

const std::vector<Verb>& verbs();

Run declare_train(Options& options);
Run declare_validate(Options& options);
Run declare_data(Options& options);
Run declare_plan(Options& options);
Run declare_modules(Options& options);
Run declare_checkpoint(Options& options);
Run declare_init(Options& options);
Run declare_import(Options& options);
Run declare_export(Options& options);
Run declare_generate(Options& options);
Run declare_report(Options& options);
Run declare_env(Options& options);
Run declare_selftest(Options& options);
Run declare_schema(Options& options);
Run declare_completion(Options& options);

}  // namespace cornstarch::app
