#include <algorithm>

#include "llama.h"

namespace cornstarch::catalog {
namespace {

/// The window of those layers that have one: as Qwen2Config says, from max_window_layers on.
std::optional<std::int64_t> read_window(HfConfig& config, std::int64_t layers) {
  constexpr std::int64_t kDefaultWindow = 4096, kDefaultFirst = 28;
  const bool says_window = config.json().contains("sliding_window");
  const auto window = config.optional_size("sliding_window");
  const std::int64_t first = config.optional_integer("max_window_layers").value_or(kDefaultFirst);
  config.ignore({"layer_types", "use_mrope"});
  const Json types = config.json().value("layer_types", Json());
  const bool slides =
      types.is_array() ? std::count(types.begin(), types.end(), "sliding_attention") > 0 : first < layers;
  if (!config.flag("use_sliding_window", false) || !slides) return std::nullopt;
  return says_window ? window : kDefaultWindow;
}

/// Llama with biases of queries, keys and values.
void build_qwen2(HfConfig& config, ModelSpec& spec) {
  Llama qwen = read_llama(config, {.vocab = 151936, .mlp = 22016, .max_positions = 32768, .kv_heads = 32});
  qwen.qkv_bias = true;
  bound_by_window(qwen, read_window(config, qwen.layers));
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
  qwen.qk_norm = true;
  bound_by_window(qwen, read_window(config, qwen.layers));
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
