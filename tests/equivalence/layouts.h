#pragma once

#include <string>
#include <vector>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/config/run_config.h"
#include "synthetic.h"

namespace cornstarch::test {

/// How the blocks of a modality run.
struct Blocks {
  config::Checkpointing checkpointing = config::Checkpointing::none;
  bool tp_sequence_parallel = false;
  bool operator==(const Blocks&) const = default;
};

/// Lists of modules: which train, and which do not.
struct Listed {
  std::vector<std::string> only = {}, except = {};
  bool operator==(const Listed&) const = default;
};

struct EncoderLayout {
  std::string family = "clip_vision_model";  ///< or another key of configs()
  int tp = 1;
  int stages = 1;
  bool train_encoder = true;
  bool train_projector = true;
  int feature_layer = -1;
  bool patch_only = false;
  config::ProjectorType projector = config::ProjectorType::mlp;
  int avg_pool = 1;
  Blocks blocks = {};
  int sp = 1;
  config::SpMode mode = config::SpMode::all_to_all;
  Listed listed = {};
  bool lora = false;  ///< adapters on every linear layer of its blocks
  /// Of clip's layers: their items are rows of numbers, as many as each has, `merged` of which make a
  /// feature.
  bool own_sizes = false;
  int merged = 1;
};

/// One line of the equivalence table.
struct LayoutCase {
  std::string name;
  std::vector<EncoderLayout> encoders;
  std::string llm = "mha";  ///< a key of configs(): mha, gqa_tied, llama3, longrope, dynamic, or a family
  int llm_tp = 1;
  int llm_stages = 1;
  bool train_llm = true;
  Blocks llm_blocks = {};
  int dp = 1;
  int microbatch_size = 2;
  int num_microbatches = 4;
  config::Sharding sharding = config::Sharding::none;
  config::ReduceDtype reduce_dtype = config::ReduceDtype::fp32;
  SyntheticDataset::Mix mix = {};
  int llm_sp = 1;
  config::SpMode mode = config::SpMode::all_to_all;
  config::Distribution distribution = config::Distribution::uniform;
  config::AttentionMask mask = config::AttentionMask::causal;
  bool packing = false;    ///< of each microbatch's samples: what one rank is compared with is not packed
  bool first_fit = false;  ///< of samples into rows
  bool whole_replicas = false;  ///< layout single: each of dp ranks is one
  Listed llm_listed = {};
  bool llm_lora = false;
  double lora_dropout = 0;  ///< of all adapters
  bool own_rates = false;   ///< every part has a learning rate and a weight decay of its own

  /// Whether no modality recomputes anything or deals tokens to the ranks of tp.
  bool plain_blocks() const;
};

/// Collects cases and names them after what they lay out.
class Table {
 public:
  LayoutCase& add(std::vector<EncoderLayout> encoders, int llm_tp, int llm_stages, int dp,
                  std::string name = {});
  std::vector<LayoutCase> take();

 private:
  std::vector<LayoutCase> cases_;
};

EncoderLayout clip(int tp = 1, int stages = 1);
EncoderLayout whisper(int tp = 1, int stages = 1);
/// An encoder whose items have sizes of their own.
EncoderLayout sizes(int tp = 1, int stages = 1, int merged = 1);
EncoderLayout qwen2_vl(int tp = 1, int stages = 1);
EncoderLayout qwen2_5_vl(int tp = 1, int stages = 1);
/// Without a projector.
EncoderLayout bare(EncoderLayout e);
EncoderLayout frozen(EncoderLayout e, bool train_encoder, bool train_projector);

inline constexpr config::SpMode kModes[] = {config::SpMode::all_to_all, config::SpMode::ring_attn,
                                            config::SpMode::ring};
/// The encoder, or the LLM, with its tokens spread over `sp` ranks.
EncoderLayout split(EncoderLayout e, int sp, config::SpMode mode);
LayoutCase& split(LayoutCase& c, int sp, config::SpMode mode,
                  config::Distribution distribution = config::Distribution::uniform);

/// Layouts with context parallelism, and attention masks.
void add_context_parallel(Table& table);

/// Layouts in which single modules are frozen, or parts are updated in ways of their own.
void add_parts(Table& table);

/// Layouts with adapters.
void add_lora(Table& table);

/// Layouts of families other than those of all the rest.
void add_families(Table& table);

/// Layouts with items of different sizes.
void add_sizes(Table& table);

/// Every layout that the suite compares with one rank.
std::vector<LayoutCase> layout_cases();

/// The case as a run: `single` gives the same model and the same global batch on one rank.
config::RunConfig run_config(const LayoutCase& c, bool single);

/// The config resolved against its families. Fails the test on any diagnostic.
catalog::Modalities resolve_or_throw(const config::RunConfig& config);

/// The same for a case whose encoders may take items of any size, which no config says.
catalog::Modalities modalities_of(const LayoutCase& c, const config::RunConfig& config);

int world_size(const LayoutCase& c);

}  // namespace cornstarch::test
