#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cornstarch/base/diagnostics.h"
#include "cornstarch/catalog/model_spec.h"
#include "cornstarch/config/load.h"

namespace cornstarch::catalog {

/// One modality of a run: its spec with the projector appended and what trains, and its stages as module
/// indices.
struct Modality {
  std::string name = {};                      ///< "vision", ..., "llm"
  ModelSpec spec;                             ///< encoders: modules end with "projector"
  std::vector<std::vector<int>> stages = {};  ///< indices into spec.modules; empty under layout: single
  int tp = 1;
  int sp = 1;
  std::optional<config::SpMode> mode = {};  ///< nothing when sp is 1
  config::Distribution distribution = config::Distribution::makespan;
  bool tp_sequence_parallel = false;  ///< never with a tp of 1
  config::Checkpointing checkpointing = config::Checkpointing::none;
  config::AttentionMask attention_mask = config::AttentionMask::causal;  ///< of the LLM
  /// Per module: whether its output reaches the loss (feature_layer leaves later layers out, CLIP's
  /// post_layernorm feeds only the pooled output).
  std::vector<bool> used = {};
  std::optional<config::Lora> lora = {};  ///< of the model: its own weights do not train
  // Encoders only:
  std::string placeholder = {};
  std::int64_t drop_tokens = 0;                ///< leading tokens that feature_select drops from every item
  std::string projector_config = {};           ///< what lies beside the projector's weights, as JSON
  std::optional<std::string> pretrained = {};  ///< folder with weights, or nothing: drawn at random
};

/// The modalities in order of declaration, the LLM last.
using Modalities = std::vector<Modality>;

inline bool is_llm(const Modality& m) { return m.spec.kind == ModelKind::llm; }

/// Rows that an item gives the LLM.
std::int64_t features_of(const Modality& encoder, const Extents& item);

/// How these lie in the picture: the rows and columns that they fill, row by row. Nothing where they are a
/// line: those of an encoder that takes one size only, and of a recording.
std::optional<Extents> feature_grid(const Modality& encoder, const Extents& item);

/// Checks a config that was loaded (what load() reports is not reported again) against its model families:
/// families and folders exist, templates list every module once and in order, heads divide, placeholders are
/// sound, the batch is possible. Every problem goes to `diagnostics`; a result only if there is no error.
std::optional<Modalities> resolve(const config::Loaded& loaded, Diagnostics& diagnostics);

}  // namespace cornstarch::catalog
