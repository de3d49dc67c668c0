#include <cmath>

#include "llama.h"

namespace cornstarch::catalog {
namespace {

/// All layers but every `pattern`th, or as layer_types has it.
std::vector<std::int64_t> read_windows(HfConfig& config, std::int64_t layers, std::int64_t pattern) {
  const std::int64_t window = read_window(config);
  if (window == 0) config.problem("sliding_window", "expected a positive integer, got null");
  return read_layer_windows(config, layers, window,
                            [=](std::int64_t layer) { return (layer + 1) % pattern != 0; });
}

/// null is none.
double read_softcap(HfConfig& config, const char* key, double fallback) {
  const bool none = config.json().contains(key) && config.json()[key].is_null();
  config.ignore({key});
  return none ? 0 : config.positive(key, fallback);
}

/// What Gemma 2 and 3 have in common.
Llama read_gemma(HfConfig& config, LlamaDefaults defaults) {
  defaults.hidden = 2304;
  defaults.mlp = 9216;
  defaults.layers = 26;
  defaults.heads = 8;
  defaults.kv_heads = 4;
  defaults.head_dim = 256;
  defaults.attention_bias = defaults.tied = true;
  defaults.padding = 0;
  defaults.activation_key = "hidden_activation";
  defaults.activation = "gelu_pytorch_tanh";
  Llama gemma = read_llama(config, defaults);
  gemma.norms = Norms::around;
  gemma.norm_offset = 1;
  gemma.embedding_scale = std::sqrt(static_cast<double>(gemma.hidden));
  gemma.q_scale =
      std::sqrt(static_cast<double>(gemma.head_dim) / config.positive("query_pre_attn_scalar", 256));
  config.require_false("use_bidirectional_attention", "only false is supported");
  config.ignore({"cache_implementation"});
  return gemma;
}

/// Windows in every second layer, and soft-caps.
void build_gemma2(HfConfig& config, ModelSpec& spec) {
  Llama gemma = read_gemma(config, {.vocab = 256000, .max_positions = 8192});
  gemma.windows = read_windows(config, gemma.layers, 2);
  gemma.attention_softcap = read_softcap(config, "attn_logit_softcapping", 50);
  gemma.final_softcap = read_softcap(config, "final_logit_softcapping", 30);
  config.ignore({"sliding_window_size", "hidden_act"});  // of its first files: HF's class does not read them
  if (config.problems().empty()) build_llama(gemma, spec);
}

/// Windows in all but every sixth layer, which have a rotary embedding of their own, and norms of heads.
void build_gemma3(HfConfig& config, ModelSpec& spec) {
  Llama gemma = read_gemma(
      config,
      {.vocab = 262208, .max_positions = 131072, .rope = {.default_theta = 1e6, .layers = "full_attention"}});
  gemma.window_rope =
      config.rope(gemma.max_positions, gemma.head_dim,
                  {.theta = "rope_local_base_freq", .scaled = false, .layers = "sliding_attention"});
  if (gemma.window_rope->type != RopeSpec::Type::standard)
    config.problem("rope_parameters.sliding_attention.rope_type", "only default is supported");
  gemma.windows = read_windows(config, gemma.layers, config.size("sliding_window_pattern", 6));
  gemma.qk_norm = QkNorm::head;
  gemma.final_softcap = read_softcap(config, "final_logit_softcapping", 0);
  config.require_absent("attn_logit_softcapping",
                        "Gemma 3's class in transformers does not apply it: only null");
  if (config.problems().empty()) build_llama(gemma, spec);
}

}  // namespace

const Family& gemma2_family() {
  static const Family family =
      llama_like({"gemma2", ModelKind::llm, "Gemma 2 (Gemma2ForCausalLM)", {config::ChatTemplate::gemma}},
                 "Gemma2ForCausalLM", build_gemma2);
  return family;
}

const Family& gemma3_text_family() {
  static const Family family = llama_like({"gemma3_text",
                                           ModelKind::llm,
                                           "Gemma 3's language model (Gemma3ForCausalLM)",
                                           {config::ChatTemplate::gemma}},
                                          "Gemma3ForCausalLM", build_gemma3);
  return family;
}

}  // namespace cornstarch::catalog
