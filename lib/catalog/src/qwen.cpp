#include "llama.h"

namespace cornstarch::catalog {
namespace {

/// As Qwen2Config says: layers from max_window_layers on, or as layer_types has it.
std::vector<std::int64_t> read_windows(HfConfig& config, std::int64_t layers) {
  const std::int64_t said = read_window(config);
  const std::int64_t window = config.flag("use_sliding_window", false) ? said : 0;
  const std::int64_t first = config.optional_integer("max_window_layers").value_or(28);
  config.ignore({"use_mrope"});
  return read_layer_windows(config, layers, window, [first](std::int64_t layer) { return layer >= first; });
}

/// Llama with biases of queries, keys and values.
void build_qwen2(HfConfig& config, ModelSpec& spec) {
  Llama qwen = read_llama(config, {.vocab = 151936, .mlp = 22016, .max_positions = 32768, .kv_heads = 32});
  qwen.qkv_bias = true;
  qwen.windows = read_windows(config, qwen.layers);
  if (config.problems().empty()) build_llama(qwen, spec);
}

/// Llama with norms of each query and key head.
void build_qwen3(HfConfig& config, ModelSpec& spec) {
  Llama qwen = read_llama(config, {.vocab = 151936,
                                   .mlp = 22016,
                                   .max_positions = 32768,
                                   .kv_heads = 32,
                                   .head_dim = 128,
                                   .attention_bias = true});
  qwen.qk_norm = QkNorm::head;
  qwen.windows = read_windows(config, qwen.layers);
  if (config.problems().empty()) build_llama(qwen, spec);
}

}  // namespace

const Family& qwen2_family() {
  static const Family family = llama_like({"qwen2", ModelKind::llm, "Qwen 2 and 2.5 (Qwen2ForCausalLM)"},
                                          "Qwen2ForCausalLM", build_qwen2);
  return family;
}

const Family& qwen3_family() {
  static const Family family =
      llama_like({"qwen3", ModelKind::llm, "Qwen 3 (Qwen3ForCausalLM)"}, "Qwen3ForCausalLM", build_qwen3);
  return family;
}

}  // namespace cornstarch::catalog
