#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cornstarch/catalog/resolve.h"

/// The parts of resolve(), one topic per file. Each appends its problems and goes on as far as it can.
namespace cornstarch::catalog {

struct Context {
  const config::Loaded& loaded;
  Diagnostics& diagnostics;

  const config::RunConfig& config() const { return loaded.config; }
  void error(const std::string& code, const std::string& path, const std::string& message,
             const std::string& help = {}) const {
    diagnostics.error(code, message, loaded.where.at(path), help);
  }
  void warning(const std::string& code, const std::string& path, const std::string& message,
               const std::string& help = {}) const {
    diagnostics.warning(code, message, loaded.where.at(path), help);
  }
};

/// Where a model comes from: the keys that an encoder and the LLM share.
struct ModelSource {
  std::string path;  ///< config path: "model.encoders.vision"
  std::string name;  ///< of the modality
  const std::string& family;
  const std::optional<std::string>& pretrained;
  const std::optional<std::string>& config_json;
  const std::vector<std::string>& ignore_weights;
  bool wants_llm = false;
  const config::Encoder* encoder = nullptr;  ///< whose model it is; null: the LLM's
};

/// The spec of a model, from its folder or its `config:`.
std::optional<ModelSpec> read_model(const Context& context, const ModelSource& source);

/// Whether the pretrained folder holds every weight of `spec`, each in its shape; of a projector only where
/// the folder has a file for it.
void check_weights(const Context& context, const ModelSource& source, const ModelSpec& spec);

/// The same of the adapters of `spec` in a folder of PEFT's, which `path` names.
void check_adapters(const Context& context, const std::string& path, const std::filesystem::path& folder,
                    const ModelSpec& spec);

/// Appends the projector, takes what feature_layer and feature_select say, and fills `used`.
void add_projector(const Context& context, const config::Encoder& encoder, const std::string& path,
                   std::optional<std::int64_t> llm_hidden, Modality& modality);
void select_features(const Context& context, const config::Encoder& encoder, const std::string& path,
                     Modality& modality);
void check_placeholders(const Context& context);

/// What a modality's `parallel` says: sizes and stages. `all` are the modalities of the run that could be
/// read.
void read_parallel(const Context& context, const std::optional<config::Parallel>& parallel,
                   const std::string& path, const std::vector<const Modality*>& all, Modality& modality);

/// The stage lists as module indices.
std::vector<std::vector<int>> read_stages(const Context& context, const config::Parallel& parallel,
                                          const std::string& path, const std::vector<const Modality*>& all,
                                          const Modality& modality);

/// What the config says of the training of one part: an encoder, its projector, the LLM.
struct PartTraining {
  std::string flag;  ///< the key that has it train: "train.projector"
  bool trains = true;
  std::string path;  ///< of `optimizer`
  const config::PartOptimizer* optimizer = nullptr;
};

/// Of a modality: `only` and `except` name modules as stage lists do.
struct Training {
  std::string path;
  PartTraining model, projector;
  const std::optional<std::vector<std::string>>& only;
  const std::vector<std::string>& except;
};

/// Gives the modality's model the adapters that its config asks for.
void resolve_lora(const Context& context, const std::optional<config::Lora>& lora, const PartTraining& part,
                  const std::string& path, Modality& modality);

/// Decides of each parameter of the modality whether it trains, and how the optimizer updates it.
void resolve_training(const Context& context, const Training& training,
                      const std::vector<const Modality*>& all, Modality& modality);

void check_batch(const Context& context, const std::vector<const Modality*>& all);
void check_data(const Context& context);

}  // namespace cornstarch::catalog
