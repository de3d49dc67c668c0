#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch::app {

/// How `train` becomes the program that links LibTorch.
struct WorkerStart {
  std::string config_yaml;  ///< resolved
  std::string said;         ///< on stderr so far: for the run's log
  std::optional<int> local_ranks;
  bool overwrite = false;
  std::optional<std::pair<int, int>> traced_steps = {};  ///< from 1, both included
  std::string export_from = {}, export_to = {};  ///< not to train: a checkpoint, and its model's folder
  bool merge = false;                            ///< its adapters are added to the weights
};

/// Where cornstarch-worker is: beside this program or in ../libexec.
Result<std::filesystem::path> worker_path();

/// Replaces this process by cornstarch-worker: the process id stays, so launchers notice nothing. Returns
/// only if it fails.
Error become_worker(const WorkerStart& start);
Error become_worker(std::vector<std::string> arguments);
/// With the config in a file that it inherits: `verb` --config-fd N, then the words.
Error become_worker(const std::string& verb, const std::string& config_yaml, std::vector<std::string> words);

}  // namespace cornstarch::app
