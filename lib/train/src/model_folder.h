#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/config/run_config.h"
#include "cornstarch/dataio/conversations.h"
#include "cornstarch/train/trainer.h"

namespace cornstarch::train {

/// Files that make weights useful elsewhere, by name.
using Companions = std::map<std::string, std::string>;

/// Those of each modality, as they are when the run begins. An encoder's: its preprocessor_config.json. The
/// LLM's: the tokenizer with what lies beside it, and generation_config.json: as they are, but for special
/// tokens that the config names; what transformers needs and nobody gave says what the run trains with.
std::vector<Companions> companions_of(const config::RunConfig& config, const catalog::Modalities& modalities,
                                      const dataio::ConversationDataset& data);

/// The whole weights of a modality on the rank that is to write them, nothing on the others; every rank calls
/// it. As the run computed, or unrounded where `export_dtype` is another type.
std::optional<std::vector<models::NamedTensor>> gather_weights(const config::RunConfig& config,
                                                               Trainer& trainer, int modality);

/// Writes them as a Hugging Face folder, in the type that `export_dtype` says, with their companions.
void write_weights(const std::filesystem::path& folder, const config::RunConfig& config,
                   const catalog::Modality& modality, const Companions& companions,
                   std::vector<models::NamedTensor> tensors, const Trainer& trainer);

}  // namespace cornstarch::train
