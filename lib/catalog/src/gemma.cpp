#include <cmath>

#include "llama.h"

namespace cornstarch::catalog {
namespace {

/// All but every sixth layer, or as layer_types has it.
std::vector<std::int64_t> read_windows(HfConfig& config, std::int64_t layers) {
  const std::int64_t window = read_window(config);
  if (window == 0) config.problem("sliding_window", "expected a positive integer, got null");
  const std::int64_t pattern = config.size("sliding_window_pattern", 6);
  return read_layer_windows(config, layers, window,
                            [=](std::int64_t layer) { return (layer + 1) % pattern != 0; });
}

void build(HfConfig& config, ModelSpec& spec) {
  Llama gemma = read_llama(config, {.vocab = 262208,
                                    .hidden = 2304,
                                    .mlp = 9216,
                                    .layers = 26,
                                    .heads = 8,
                                    .max_positions = 131072,
                                    .kv_heads = 4,
                                    .head_dim = 256,
                                    .attention_bias = true,
                                    .tied = true,
                                    .padding = 0,
                                    .activation_key = "hidden_activation",
                                    .activation = "gelu_pytorch_tanh",
                                    .rope = {.default_theta = 1e6, .layers = "full_attention"}});
  gemma.window_rope = config.rope(
      gemma.max_positions, {.theta = "rope_local_base_freq", .scaled = false, .layers = "sliding_attention"});
  if (gemma.window_rope->type != RopeSpec::Type::standard)
    config.problem("rope_parameters.sliding_attention.rope_type", "only default is supported");
  gemma.windows = read_windows(config, gemma.layers);
  gemma.qk_norm = QkNorm::head;
  gemma.norms = Norms::around;
  gemma.norm_offset = 1;
  gemma.embedding_scale = std::sqrt(static_cast<double>(gemma.hidden));
  gemma.q_scale =
      std::sqrt(static_cast<double>(gemma.head_dim) / config.positive("query_pre_attn_scalar", 256));
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"})
    config.require_absent(key, "soft-capping is not supported: only null");
  config.require_false("use_bidirectional_attention", "only false is supported");
  config.ignore({"cache_implementation"});
  if (config.problems().empty()) build_llama(gemma, spec);
}

}  // namespace

const Family& gemma3_text_family() {
  static const Family family =
      llama_like({"gemma3_text", ModelKind::llm, "Gemma 3's language model (Gemma3ForCausalLM)"},
                 "Gemma3ForCausalLM", build);
  return family;
}

}  // namespace cornstarch::catalog
