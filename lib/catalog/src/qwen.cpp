#include "cornstarch/base/text.h"
#include "llama.h"

namespace cornstarch::catalog {
namespace {

/// The window of each layer, as Qwen2Config says: from max_window_layers on, or as layer_types has it.
std::vector<std::int64_t> read_windows(HfConfig& config, std::int64_t layers) {
  constexpr std::int64_t kDefaultWindow = 4096, kDefaultFirst = 28;
  const bool says_window = config.json().contains("sliding_window");
  const auto window = config.optional_size("sliding_window");
  const std::int64_t first = config.optional_integer("max_window_layers").value_or(kDefaultFirst);
  config.ignore({"layer_types", "use_mrope"});
  if (!config.flag("use_sliding_window", false)) return {};
  const Json types = config.json().value("layer_types", Json());
  if (types.is_array() && types.size() != static_cast<std::size_t>(layers)) {
    config.problem("layer_types", cat("must be of all ", layers, " layers, not ", types.size()));
    return {};
  }
  std::vector<std::int64_t> windows;
  for (std::int64_t i = 0; i < layers; ++i) {
    const bool slides =
        types.is_array() ? types[static_cast<std::size_t>(i)] == "sliding_attention" : i >= first;
    windows.push_back(slides ? (says_window ? window.value_or(0) : kDefaultWindow) : 0);
  }
  return windows;
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
  qwen.qk_norm = true;
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
