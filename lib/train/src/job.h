#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/config/load.h"
#include "cornstarch/dataio/conversations.h"
#include "cornstarch/plan/plan.h"
#include "cornstarch/train/run.h"
#include "cornstarch/train/trainer.h"
#include "model_folder.h"

namespace cornstarch::train {

/// Everything that is the same on every rank of this process.
struct Job {
  config::RunConfig config;
  catalog::Modalities modalities;
  plan::Plan plan;
  std::unique_ptr<dataio::ConversationDataset> train_data, eval_data;
  std::vector<Companions> companions;  ///< of each modality's weights
  RunOptions options;
  std::string launcher;
};

/// A resolved config. Throws Failure (usage).
config::Loaded load(const std::string& config_text);

/// Plans the run and opens its data. Throws Failure.
Job prepare(const config::Loaded& loaded, int world_size, int local_size, const RunOptions& options,
            const std::string& launcher);

/// Writes the weights of each modality into a folder of its name in `folder`. Every rank calls it.
void write_model(const Job& job, Trainer& trainer, const std::filesystem::path& folder);

/// Says what ended a process; returns the exit code.
int report(const Error& error);

}  // namespace cornstarch::train
