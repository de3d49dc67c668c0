#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cornstarch/base/checked.h"
#include "cornstarch/base/exit_codes.h"

namespace cornstarch::train {

struct RunOptions {
  int local_ranks = 0;     ///< > 0: that many ranks as threads of this process; 0: what the launcher says
  bool overwrite = false;  ///< move an old run folder aside
  std::string said = {};   ///< to the user before the run, for its log
  std::vector<std::pair<std::string, std::string>> versions = {};  ///< of this program and its libraries
  std::optional<Range> traced_steps = {};  ///< from 0, end excluded: their timelines go to trace.json
};

/// Trains what a resolved config (config::dump) says, from connecting the ranks to writing the model into the
/// run folder. Returns the exit code; what went wrong has been printed.
int run(const std::string& config_text, const RunOptions& options);

struct ExportOptions {
  std::string from;    ///< a whole checkpoint
  std::string to;      ///< a folder, made if need be: a Hugging Face folder of each modality goes into it
  bool merge = false;  ///< adapters are added to the weights, as with `lora.merge`
};

/// Writes the model of a checkpoint as its run would have at its end. What the run read (data, tokenizer,
/// pretrained folders) must be where it was. Returns the exit code; what went wrong has been printed.
int export_model(const ExportOptions& options);

struct SelftestOptions {
  int local_ranks = 0;  ///< as of a run
  bool cuda = false;    ///< the GPUs and NCCL instead of the CPU
  std::int64_t bytes = std::int64_t{4} << 20;
  int deadline_seconds = 60;  ///< of one operation
  bool json = false;
};

/// Tests what a run would talk over (selftest::measure). Rank 0 writes the report to stdout. Returns the exit
/// code, `device` where something arrived wrong; what went wrong has been printed.
int self_test(const SelftestOptions& options);

}  // namespace cornstarch::train
