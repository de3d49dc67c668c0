#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cornstarch/checkpoint/checkpoint.h"
#include "cornstarch/config/run_config.h"
#include "cornstarch/plan/plan.h"
#include "cornstarch/train/trainer.h"

namespace cornstarch::train {

/// That there is none where one is asked for.
Error no_checkpoint(const std::filesystem::path& dir);

/// What a checkpoint's run and this one have not in common: refused (usage) where the state means nothing
/// here, or the same samples would not come in the same order; else what the user should know, line by line.
Result<std::vector<std::string>> compare(const checkpoint::Checkpoint& from, const config::RunConfig& config,
                                         const catalog::Modalities& modalities, std::int64_t train_samples);

/// Goes on from the newest checkpoint that every rank can read, if config.resume asks for it: rank 0 says
/// which, and why others were left out. Returns the steps that the state has behind it, 0 where the run
/// begins. Every rank calls it.
std::int64_t resume(const config::RunConfig& config, const catalog::Modalities& modalities,
                    comm::Communicator& comm, at::Device device, std::int64_t train_samples,
                    Trainer& trainer);

}  // namespace cornstarch::train
