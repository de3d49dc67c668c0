#include "layouts.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <stdexcept>

#include "cornstarch/base/checked.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"

namespace cornstarch::test {
namespace {

constexpr int kSequenceLength = 48;

/// Widths that tp 2, 3 and 4 do not divide (MLP, vocabulary) beside heads that they do. Windows that are
/// narrower by two at least than most samples, which have 4 to 8 tokens and what media add.
const std::map<std::string, std::string>& configs() {
  static const std::map<std::string, std::string> all = {
      {"mha",
       R"({"hidden_size": 24, "intermediate_size": 35, "num_hidden_layers": 4, "num_attention_heads": 12,
                  "num_key_value_heads": 12, "vocab_size": 67, "max_position_embeddings": 64,
                  "initializer_range": 0.2})"},
      {"gqa_tied",
       R"({"hidden_size": 24, "intermediate_size": 37, "num_hidden_layers": 4, "num_attention_heads": 12,
                  "num_key_value_heads": 6, "vocab_size": 61, "max_position_embeddings": 64,
                  "tie_word_embeddings": true, "initializer_range": 0.2})"},
      {"llama3",
       R"({"hidden_size": 32, "intermediate_size": 41, "num_hidden_layers": 4, "num_attention_heads": 8,
                  "num_key_value_heads": 4, "vocab_size": 71, "max_position_embeddings": 64, "attention_bias": true,
                  "mlp_bias": true, "initializer_range": 0.2,
                  "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                   "high_freq_factor": 4.0, "original_max_position_embeddings": 16}})"},
      {"longrope",
       R"({"hidden_size": 24, "intermediate_size": 37, "num_hidden_layers": 4, "num_attention_heads": 12, "head_dim": 4,
                  "num_key_value_heads": 12, "vocab_size": 67, "max_position_embeddings": 64, "initializer_range": 0.2,
                  "rope_scaling": {"rope_type": "longrope", "short_factor": [1.0, 1.5], "long_factor": [3.0, 9.0],
                                   "original_max_position_embeddings": 5}})"},
      {"dynamic",
       R"({"hidden_size": 24, "intermediate_size": 35, "num_hidden_layers": 4, "num_attention_heads": 12, "head_dim": 4,
                  "num_key_value_heads": 6, "vocab_size": 61, "max_position_embeddings": 5, "initializer_range": 0.2,
                  "rope_scaling": {"rope_type": "dynamic", "factor": 10.0}})"},
      {"mistral",
       R"({"hidden_size": 24, "intermediate_size": 37, "num_hidden_layers": 4, "num_attention_heads": 12,
                  "num_key_value_heads": 6, "vocab_size": 67, "max_position_embeddings": 64, "sliding_window": 3,
                  "initializer_range": 0.2})"},
      {"qwen2",
       R"({"hidden_size": 24, "use_sliding_window": true, "sliding_window": 3, "max_window_layers": 2, "intermediate_size": 35, "num_hidden_layers": 4, "num_attention_heads": 12,
                  "num_key_value_heads": 6, "vocab_size": 61, "max_position_embeddings": 64, "initializer_range": 0.2,
                  "rope_parameters": {"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0,
                                      "original_max_position_embeddings": 16}})"},
      {"qwen2_vl_text",
       R"({"hidden_size": 24, "intermediate_size": 35, "num_hidden_layers": 4, "num_attention_heads": 12, "head_dim": 6,
                  "num_key_value_heads": 6, "vocab_size": 61, "max_position_embeddings": 64, "initializer_range": 0.2,
                  "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 1]}, "rope_theta": 10.0})"},
      {"qwen2_5_vl_text",
       R"({"hidden_size": 24, "intermediate_size": 37, "num_hidden_layers": 4, "num_attention_heads": 12, "head_dim": 6,
                  "num_key_value_heads": 6, "vocab_size": 67, "max_position_embeddings": 64, "initializer_range": 0.2,
                  "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 1]}, "rope_theta": 10.0,
                  "tie_word_embeddings": true})"},
      {"qwen3",
       R"({"hidden_size": 24, "intermediate_size": 37, "num_hidden_layers": 4, "num_attention_heads": 12, "head_dim": 6,
                  "num_key_value_heads": 6, "vocab_size": 67, "max_position_embeddings": 64,
                  "tie_word_embeddings": true, "initializer_range": 0.2})"},
      {"gemma3_text",
       R"({"hidden_size": 24, "intermediate_size": 35, "num_hidden_layers": 4, "num_attention_heads": 12, "head_dim": 4,
                  "num_key_value_heads": 6, "vocab_size": 61, "max_position_embeddings": 64, "sliding_window": 3,
                  "sliding_window_pattern": 2, "query_pre_attn_scalar": 5, "initializer_range": 0.2})"},
      {"olmo2",
       R"({"hidden_size": 24, "intermediate_size": 37, "num_hidden_layers": 4, "num_attention_heads": 12,
                  "num_key_value_heads": 6, "vocab_size": 67, "max_position_embeddings": 64,
                  "initializer_range": 0.2})"},
      {"gemma2",
       R"({"hidden_size": 24, "intermediate_size": 35, "num_hidden_layers": 4, "num_attention_heads": 12, "head_dim": 4,
                  "num_key_value_heads": 6, "vocab_size": 61, "max_position_embeddings": 64, "sliding_window": 3,
                  "query_pre_attn_scalar": 5, "attn_logit_softcapping": 0.6, "final_logit_softcapping": 1.5,
                  "initializer_range": 0.2})"},
      {"qwen2_vl_vision",
       R"({"depth": 3, "embed_dim": 48, "hidden_size": 24, "num_heads": 12, "mlp_ratio": 1, "patch_size": 2,
                  "temporal_patch_size": 1, "initializer_range": 0.2, "rope_theta": 20.0})"},
      {"qwen2_5_vl_vision",
       R"({"depth": 3, "hidden_size": 48, "intermediate_size": 31, "out_hidden_size": 24, "num_heads": 12,
                  "patch_size": 2, "temporal_patch_size": 1, "window_size": 8, "fullatt_block_indexes": [1],
                  "initializer_range": 0.2, "rope_theta": 20.0})"},
      {"siglip_vision_model", R"({"hidden_size": 24, "intermediate_size": 29, "num_hidden_layers": 3,
                  "num_attention_heads": 12, "image_size": 8, "patch_size": 4})"},
      {"dinov2", R"({"hidden_size": 24, "mlp_ratio": 2, "num_hidden_layers": 3, "num_attention_heads": 12,
                  "image_size": 8, "patch_size": 4, "use_swiglu_ffn": true, "layerscale_value": 0.7,
                  "initializer_range": 0.2})"},
      {"clip_vision_model", R"({"hidden_size": 24, "intermediate_size": 29, "num_hidden_layers": 3,
                  "num_attention_heads": 12, "image_size": 8, "patch_size": 4, "initializer_factor": 0.25})"},
      {"clip_wide", R"({"hidden_size": 24, "intermediate_size": 29, "num_hidden_layers": 3,
                  "num_attention_heads": 12, "image_size": 20, "patch_size": 4, "initializer_factor": 0.25})"},
      {"qwen2_audio_encoder",
       R"({"d_model": 24, "encoder_ffn_dim": 31, "encoder_layers": 3, "encoder_attention_heads": 12,
                  "num_mel_bins": 6, "max_source_positions": 9, "initializer_range": 0.2})"},
      {"whisper",
       R"({"d_model": 24, "encoder_ffn_dim": 31, "encoder_layers": 3, "encoder_attention_heads": 12,
                  "num_mel_bins": 6, "max_source_positions": 6, "init_std": 0.2})"},
  };
  return all;
}

/// Several configs of one family have names of their own.
std::string family_of(const std::string& config) {
  static const std::set<std::string> llamas = {"mha", "gqa_tied", "llama3", "longrope", "dynamic"};
  if (config == "clip_wide") return "clip_vision_model";
  return llamas.count(config) > 0 ? "llama" : config;
}

/// The modules dealt to `n` stages; where they do not divide, early stages hold fewer.
std::vector<std::vector<std::string>> deal(const std::vector<std::string>& modules, int n) {
  std::vector<std::vector<std::string>> out;
  const auto count = static_cast<std::int64_t>(modules.size());
  for (int s = 0; s < n; ++s) {
    const Range range = share(count, n, s);
    out.emplace_back(modules.begin() + range.begin, modules.begin() + range.end);
  }
  return out;
}

std::vector<std::string> module_names(const std::string& family, const std::string& hf_config) {
  const auto result = catalog::make_spec(family, hf_config);
  if (!result.spec) throw std::runtime_error(join(result.problems, "; "));
  std::vector<std::string> out;
  for (const auto& module : result.spec->modules) out.push_back(module.name);
  return out;
}

/// One rank is the reference: it keeps everything.
void set_blocks(const Blocks& blocks, bool single, config::Checkpointing& checkpointing,
                config::Parallel& parallel) {
  if (!single) checkpointing = blocks.checkpointing;
  parallel.tp_sequence_parallel = blocks.tp_sequence_parallel;
}

/// A rank that tp does not divide, and a scale that is not 1.
config::Lora adapters(double dropout) {
  config::Lora lora;
  lora.rank = 3;
  lora.alpha = 7;
  lora.dropout = dropout;
  lora.targets = {"all-linear"};
  return lora;
}

config::Encoder encoder_config(const EncoderLayout& layout, std::size_t index, bool single, double dropout) {
  config::Encoder e;
  e.name =
      cat(layout.family == "whisper" || layout.family == "qwen2_audio_encoder" ? "audio" : "vision", index);
  e.family = family_of(layout.family);
  e.config_json = configs().at(layout.family);
  e.projector.avg_pool = layout.avg_pool;
  e.projector.type = layout.projector;
  e.train = {layout.train_encoder, layout.train_projector};
  e.placeholder = cat("<", e.name, ">");
  e.feature_layer = layout.feature_layer;
  e.feature_select = layout.patch_only ? config::FeatureSelect::patch : config::FeatureSelect::full;
  auto modules = module_names(e.family, *e.config_json);
  modules.push_back("projector");
  e.parallel.emplace();
  e.parallel->tp = layout.tp;
  e.parallel->sp = layout.sp;
  e.parallel->mode = layout.mode;
  e.parallel->stages = deal(modules, layout.stages);
  set_blocks(layout.blocks, single, e.activation_checkpointing, *e.parallel);
  if (!layout.listed.only.empty()) e.train_only = layout.listed.only;
  e.train_except = layout.listed.except;
  if (layout.lora) e.lora = adapters(dropout);
  return e;
}

/// In the place of patches and their positions a norm of rows, in the layers rotary positions.
void take_any_size(catalog::Modality& encoder, std::int64_t merged) {
  catalog::ModuleSpec& first = encoder.spec.modules.front();
  const std::int64_t hidden = encoder.spec.hidden_size;
  catalog::ParamSpec param = first.params.front();
  param.shape = {hidden};
  param.split = {};
  param.init = catalog::Init::normal;
  param.init_std = 0.5;
  param.of_norm = true;
  first.params.clear();
  for (const char* part : {".weight", ".bias"}) {
    param.name = first.name + part;
    first.params.push_back(param);
  }
  first.body = catalog::Norm{{catalog::NormKind::layer_norm, 1e-5, hidden, first.name}};
  for (catalog::ModuleSpec& module : encoder.spec.modules)
    if (auto* block = std::get_if<catalog::BlockSpec>(&module.body)) block->attention.rope.emplace();
  auto& projector = std::get<catalog::Projector>(encoder.spec.modules.back().body);
  projector.merged = merged;
  (projector.in_proj ? *projector.in_proj : projector.out_proj).in = merged * hidden;
  encoder.spec.modules.back().params.front().shape.at(1) = merged * hidden;
  encoder.spec.item_shape = {hidden};
  encoder.spec.leading_tokens = 0;
}

/// For every part another learning rate, weight decay, and what has none.
void set_rates(config::Model& model) {
  for (config::Encoder& encoder : model.encoders)
    encoder.optimizer = {{2e-3, 0.3, config::NoDecay::norms_and_biases},
                         {5e-4, {}, config::NoDecay::nothing}};
  model.llm.optimizer = {3e-3, 0.0, {}};
}

/// Files that a config must name although nothing reads them here.
std::string empty_file() {
  const auto path = std::filesystem::temp_directory_path() / "cornstarch-equivalence-empty.json";
  if (!std::filesystem::exists(path)) std::ofstream(path) << "{}";
  return path.string();
}

}  // namespace

bool LayoutCase::plain_blocks() const {
  const auto plain = [](const EncoderLayout& e) { return e.blocks == Blocks{}; };
  return llm_blocks == Blocks{} && std::all_of(encoders.begin(), encoders.end(), plain);
}

config::RunConfig run_config(const LayoutCase& c, bool single) {
  config::RunConfig r;
  for (std::size_t i = 0; i < c.encoders.size(); ++i)
    r.model.encoders.push_back(encoder_config(c.encoders[i], i, single, c.lora_dropout));
  r.model.llm.family = family_of(c.llm);
  r.model.llm.config_json = configs().at(c.llm);
  r.model.llm.train = c.train_llm;
  if (!c.llm_listed.only.empty()) r.model.llm.train_only = c.llm_listed.only;
  r.model.llm.train_except = c.llm_listed.except;
  if (c.llm_lora) r.model.llm.lora = adapters(c.lora_dropout);
  r.model.llm.parallel.emplace();
  r.model.llm.attention_mask = c.mask;
  r.model.llm.parallel->tp = c.llm_tp;
  r.model.llm.parallel->sp = c.llm_sp;
  r.model.llm.parallel->mode = c.mode;
  r.model.llm.parallel->distribution = c.distribution;
  r.model.llm.parallel->stages =
      deal(module_names(r.model.llm.family, *r.model.llm.config_json), c.llm_stages);
  set_blocks(c.llm_blocks, single, r.model.llm.activation_checkpointing, *r.model.llm.parallel);
  if (c.own_rates) set_rates(r.model);
  r.layout = single || c.whole_replicas ? config::Layout::single : config::Layout::separate;
  r.sharding = single ? config::Sharding::none : c.sharding;
  r.reduce_dtype = c.reduce_dtype;
  r.batch.microbatch_size = c.microbatch_size;
  r.batch.num_microbatches = c.num_microbatches * (single ? c.dp : 1);
  r.batch.sequence_length = kSequenceLength;
  if (c.packing && !single) r.batch.packing = config::Packing::microbatch;
  if (c.first_fit) {
    r.batch.packing = config::Packing::first_fit;
    if (single) {  // each row by itself
      *r.batch.num_microbatches *= c.microbatch_size;
      r.batch.microbatch_size = 1;
    }
  }
  r.data.train = {{empty_file(), std::nullopt, 1.0}};
  r.data.tokenizer = empty_file();
  r.data.shuffle = true;
  r.optimizer.weight_decay = 0.1;
  r.seed = 42;
  r.steps = 3;
  return r;
}

catalog::Modalities resolve_or_throw(const config::RunConfig& config) {
  Diagnostics diagnostics;
  auto modalities = catalog::resolve({config, {}}, diagnostics);
  if (!modalities) throw std::runtime_error(render_text(diagnostics));
  return std::move(*modalities);
}

catalog::Modalities modalities_of(const LayoutCase& c, const config::RunConfig& config) {
  catalog::Modalities all = resolve_or_throw(config);
  for (std::size_t e = 0; e < c.encoders.size(); ++e)
    if (c.encoders[e].own_sizes) take_any_size(all[e], c.encoders[e].merged);
  return all;
}

int world_size(const LayoutCase& c) {
  if (c.whole_replicas) return c.dp;
  int ranks = c.llm_tp * c.llm_sp * c.llm_stages;
  for (const auto& e : c.encoders) ranks += e.tp * e.sp * e.stages;
  return ranks * c.dp;
}

}  // namespace cornstarch::test
